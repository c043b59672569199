"""A row comes in: collect, clean, find duplicates, mask private details, split; feedback becomes examples."""
