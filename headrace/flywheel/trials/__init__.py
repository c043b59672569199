"""A challenger beside the champion on the rows that come in, and the watch after a release."""
