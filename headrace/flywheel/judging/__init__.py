"""Challenger and champion on the rows held out of a channel, and what the gate is asked."""
