"""The rows of a file -> chunks of asks, always cut at the same rows, so that a later run finds its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.data.connectors import Broken
from headrace.data.fields import scalar
from headrace.data.readers.lines import Source
from headrace.data.readers.objects import Thing
from headrace.data.readers.table import OBJECTS, format_of, read_rows
from headrace.serving.answerer import wrong_with
from headrace.serving.bulk import Order
from headrace.serving.engine import Ask

ROWS = 2048
CHARACTERS = 4_000_000
"""What a chunk holds at most: enough rows to group by length, few enough to lose little and to hold often."""

_EXACT = 1 << 53  # integers up to here are floats too
_LONG = 1 << 63


@dataclass(slots=True)
class Chunk:
    """Consecutive rows; of row `places[i]`, counted within the chunk, `asks[i]` is asked.

    `errors` says why each other row cannot be asked. `kinds` are the kinds of values of each field, where the
    format lets every row have its own.
    """

    number: int
    rows: int = 0
    characters: int = 0
    places: list[int] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether the next row begins another chunk."""
        return self.rows >= ROWS or self.characters >= CHARACTERS


class Chunks:
    """The chunks of a file; `refusal` says of a channel why it cannot be asked, "" where it can."""

    def __init__(self, source: Source, order: Order, refusal: Callable[[str], str]) -> None:
        self._source, self._order, self._refusal = source, order, refusal
        self._own_fields = format_of(source.path) in OBJECTS

    def __iter__(self) -> Iterator[Chunk]:
        needed = [name for name in (self._order.column, self._order.channel_column) if name]
        chunk = Chunk(0)
        for row in read_rows(self._source, needed):
            if chunk.full:
                yield chunk
                chunk = Chunk(chunk.number + 1)
            self._add(chunk, row)
        if chunk.rows:
            yield chunk

    def _add(self, chunk: Chunk, row: Thing | Broken) -> None:
        if isinstance(row, Broken):
            chunk.errors[chunk.rows] = f"{row.place}: {row.reason}, {row.detail}"
        else:
            self._ask(chunk, row)
            if self._own_fields:
                _note_kinds(chunk.kinds, row.fields)
        chunk.rows += 1

    def _ask(self, chunk: Chunk, row: Thing) -> None:
        try:
            ask = self._asked(row.fields)
        except ValueError as error:
            chunk.errors[chunk.rows] = f"{row.place}: {error}"
            return
        chunk.places.append(chunk.rows)
        chunk.asks.append(ask)
        chunk.characters += len(ask.text)

    def _asked(self, fields: Mapping[str, Any]) -> Ask:
        """The ask of a row; raises ValueError with the reason why it has none."""
        order = self._order
        text = scalar(fields.get(order.column)) or ""
        if order.column not in fields:
            raise ValueError(f"there is no {order.column!r}")
        wrong = wrong_with(text)
        if wrong:
            raise ValueError(f"the text {wrong}")
        channel = (scalar(fields.get(order.channel_column)) or "") if order.channel_column else ""
        channel = channel.strip() or order.channel or ""
        if not channel:
            raise ValueError("no channel is named")
        refusal = self._refusal(channel)
        if refusal:
            raise ValueError(refusal)
        return Ask(order.task, channel, text)


def _note_kinds(kinds: dict[str, set[str]], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        kinds.setdefault(name, set()).add(kind_of(value))


def kind_of(value: Any) -> str:
    """null, bool, int (a float too), long (64 bits), float, string or other."""
    if value is None or isinstance(value, bool | str | float):
        return {"NoneType": "null", "str": "string"}.get(type(value).__name__, type(value).__name__)
    if isinstance(value, int) and -_LONG <= value < _LONG:
        return "int" if abs(value) <= _EXACT else "long"
    return "other"
