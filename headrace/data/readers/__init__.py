"""Formats: bytes of one file -> rows, and what is broken in it by file and line, in bounded memory."""
