"""The screens, one file each: what it shows, what may be done there, and by whom."""
