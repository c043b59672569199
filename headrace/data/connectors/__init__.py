"""Where rows come from: one module a part, with its `Options` and its class `Part`.

A part is made as `Part(options, folder)`, `folder` being the project's, and does one thing: `read`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from headrace.records import Split


@dataclass(frozen=True, slots=True)
class Raw:
    """One thing as its source gave it; `place` names file and line, or column and key."""

    text: str
    label: str | None = None
    split: Split | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """One thing that cannot become a row; `content` is what came in, its odd bytes escaped."""

    place: str
    content: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Position:
    """How far the source has been read: what `read` takes the next time. Plain JSON."""

    value: object


class Connector(Protocol):
    """A source of rows."""

    def read(self, position: object | None) -> Iterator[Raw | Broken | Position]:
        """Everything beyond `position`, in bounded memory.

        A Position stands after all that it covers. Raises InputError where the source cannot be used at all.
        """
        ...
