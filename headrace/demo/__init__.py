"""The first turn as a user would do it: script, its rows, their data card."""
