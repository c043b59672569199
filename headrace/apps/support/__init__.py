"""Customer service: a message is answered alone where that is safe, else a person is asked."""
