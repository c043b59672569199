"""What the demo is made of: rows to collect, and questions that are kept for the wire."""

from __future__ import annotations

from dataclasses import dataclass

Rows = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """A question asked over the wire: its text, the right label, and a rewording where one was written."""

    text: str
    label: str
    rewording: str | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """Rows (`text`, `label` and, where fixed, `split`) and the live questions of one channel."""

    rows: Rows
    live: tuple[Question, ...]
