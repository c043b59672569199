"""A language model behind an OpenAI-style endpoint, in a process of its own."""
