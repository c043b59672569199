"""CSV and TSV, record by record. A quote that never closes costs its own line and no other.

A record is read by `csv` in strict mode. One that ends within a quote takes more lines, up to a limit; if it
does not become a row of the right width, its first line is broken and the others are read again.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from headrace.data.connectors import Broken
from headrace.data.readers.lines import MAX_BYTES, SHOWN, Line, Source, read_lines
from headrace.errors import InputError

MAX_LINES = 1000
DELIMITERS = ",\t;|"


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one record, and where it starts."""

    place: str
    fields: list[str]


def read_delimited(
    source: Source, delimiter: str | None = None, header: Sequence[str] = ()
) -> Iterator[list[str] | Record | Broken]:
    """First the names of the columns, then a Record or Broken each.

    `header` names the columns of a file that does not. Raises InputError for an empty file.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_BYTES))
    lines = _Lines(source, read_lines(source))
    first = _first(source, lines)
    reader = _Reader(source, lines, delimiter or _delimiter(first.text))
    if header:
        lines.put_back([first])
        names = list(header)
    else:
        names = _header(source, reader, first)
    yield names
    while (line := lines.take()) is not None:
        if isinstance(line, Broken):
            yield line
        elif line.text.strip(" \t\r") or reader.delimiter == line.text[:1]:
            yield reader.record(line, len(names))


@dataclass(slots=True)
class _Lines:
    """Lines with room to put some back."""

    source: Source
    stream: Iterator[Line | Broken]
    ahead: deque[Line | Broken] = field(default_factory=deque)

    def take(self) -> Line | Broken | None:
        return self.ahead.popleft() if self.ahead else next(self.stream, None)

    def put_back(self, lines: Sequence[Line | Broken]) -> None:
        self.ahead.extendleft(reversed(lines))


@dataclass(slots=True)
class _Reader:
    source: Source
    lines: _Lines
    delimiter: str

    def record(self, first: Line, width: int) -> Record | Broken:
        """The record that starts with `first`."""
        place = self.source.place(first.number)
        fields = self.parse(first.text)
        if fields is None:
            fields = self._longer(first, width)
        if fields is None and self.delimiter == "\t":
            # Most TSV knows no quoting: there a quote is a character like any other.
            plain = first.text.split("\t")
            fields = plain if len(plain) == width else None
        if fields is None:
            return Broken(place, first.text, "lone quote", "a quote opens a field and never closes it")
        if len(fields) != width:
            said = f"{len(fields)} field{'s' * (len(fields) != 1)}, but {width} columns"
            return Broken(place, first.text, "ragged row", said)
        return Record(place, fields)

    def parse(self, text: str) -> list[str] | None:
        """The fields of a whole record, None where its quotes do not close."""
        try:
            return next(csv.reader([text], delimiter=self.delimiter, strict=True), [])
        except csv.Error:
            return None

    def _longer(self, first: Line, width: int) -> list[str] | None:
        """The record over several lines, if they make one of `width`; else the lines are put back."""
        taken: list[Line | Broken] = []
        parts, size = [first.text], len(first.text)
        while size <= MAX_BYTES and len(taken) < MAX_LINES and (line := self.lines.take()) is not None:
            taken.append(line)
            if isinstance(line, Broken):
                break
            parts.append(line.text)
            size += len(line.text) + 1
            if '"' not in line.text:
                continue
            fields = self.parse("\n".join(parts))
            if fields is not None:
                if len(fields) == width:
                    return fields
                break
        self.lines.put_back(taken)
        return None


def _first(source: Source, lines: _Lines) -> Line:
    """The first line that is not blank."""
    while (line := lines.take()) is not None:
        if isinstance(line, Broken):
            raise InputError(
                f"the first line cannot be read: {line.reason}, {line.detail}.",
                where=line.place,
                cure="Name the encoding in options.encoding, or repair the line.",
            )
        if line.text.strip():
            return line
    raise InputError("the file is empty.", where=source.name, cure="Remove it, or correct `path`.")


def _header(source: Source, reader: _Reader, first: Line) -> list[str]:
    names = reader.parse(first.text)
    if names is None:
        raise InputError(
            f"a quote of the header never closes: {first.text[:SHOWN]!r}.",
            where=source.place(first.number),
            cure="Repair the first line.",
        )
    names = [name.strip() for name in names]
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise InputError(
            f"the column {doubled[0]!r} stands twice.", where=source.name, cure="Rename one of them."
        )
    return names


def _delimiter(header: str) -> str:
    """The likeliest delimiter of a header line; a comma where it has none."""
    return max(DELIMITERS, key=lambda one: (header.count(one), one == ","))
