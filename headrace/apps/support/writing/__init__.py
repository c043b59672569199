"""An answer written by a language model from the passages found: every sentence with its source, or none."""
