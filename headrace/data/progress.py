"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Hears (stage, done, total) of long work; total 0 where nobody can know it yet."""


def silent(stage: str, done: int, total: int) -> None:
    """Say nothing."""
