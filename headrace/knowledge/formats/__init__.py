"""How documents are read: one module a format, with its `Options` and its class `Part`.

A part is made as `Part(options, folder)`, `folder` being the project's, and does one thing: `read`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from headrace.data.connectors import Broken


@dataclass(frozen=True, slots=True)
class Piece:
    """A section of a document: the headings above it (or a question), and its text.

    A `curated` text is an answer that may be given word for word; `intent` is the label that it answers.
    """

    title: str
    text: str
    curated: bool = False
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """A document as its format gave it; `place` names it within its source, `url` is where to read it."""

    place: str
    title: str
    pieces: tuple[Piece, ...]
    language: str = ""
    url: str = ""


class Format(Protocol):
    """A kind of document."""

    def read(self) -> Iterator[Read | Broken]:
        """Every document of the source; InputError where the source cannot be used at all."""
        ...
