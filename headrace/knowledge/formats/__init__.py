"""How documents are read: one module a format, with its `Options` and its class `Part`.

A part is made as `Part(options, folder)`, `folder` being the project's, and does one thing: `read`. One that
can tell cheaply whether anything changed is `Watched` too; one that need not read again what it read before
is `Remembering`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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
    """A document as its format gave it; `place` names it within its source, `url` is where to read it.

    With a `channel` it answers that one alone, where the source answers all.
    """

    place: str
    title: str
    pieces: tuple[Piece, ...]
    language: str = ""
    url: str = ""
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Same:
    """A document that is what it was when it was last read."""

    place: str


class Format(Protocol):
    """A kind of document."""

    def read(self) -> Iterator[Read | Broken | Same]:
        """Every document of the source; InputError where the source cannot be used at all.

        What is Broken under the place of a document, or under the part of it before a `#`, leaves that
        document as it was.
        """
        ...


@runtime_checkable
class Watched(Protocol):
    """A format that knows without reading whether something changed."""

    def stamp(self) -> str:
        """Another text whenever something may have changed; "" where the source cannot be seen."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A format that keeps plain JSON by place from one reading to the next."""

    known: dict[str, object]
