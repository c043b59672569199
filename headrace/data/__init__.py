"""A row comes in: collect, clean, find duplicates, mask private details, split, and feedback into examples."""
