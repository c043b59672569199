"""Who may ask, and how much: keys and daily quotas of channels."""
