"""One frozen base and what sits on it: the base itself, its cached prefix, n-grams and the adapter's files."""
