"""One frozen base and what sits on it: base, cached prefix, n-grams, the adapter's files."""
