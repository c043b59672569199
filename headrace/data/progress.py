"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

# Stage, done, total; total 0 where nobody can know it yet.
Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Say nothing."""
