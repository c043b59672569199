"""A new, renamed or merged label: the heads that know it, judged and released in seconds."""
