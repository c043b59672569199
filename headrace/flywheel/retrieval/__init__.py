"""The embed task at a turn: questions whose passage is known, an adapter learned from them, and its judgement."""
