"""A file of any known format -> its rows with all of their columns, in the order of the file.

Unlike the connector of files, which keeps text, label and split, nothing is left out here: a line that cannot
be read is handed on as Broken in its place, a blank line of a text file as a row without words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from headrace.data.connectors import Broken
from headrace.data.connectors.files import ENDINGS
from headrace.data.readers.delimited import Record, read_delimited
from headrace.data.readers.lines import Source, read_lines
from headrace.data.readers.objects import Thing, read_json_array, read_json_lines
from headrace.data.readers.parquet import read_batches, read_parquet
from headrace.errors import InputError

OBJECTS = ("json", "jsonl")
"""Formats in which every row brings columns of its own."""


def format_of(path: Path) -> str:
    """csv, tsv, json, jsonl, parquet or lines, as the ending says; "" where it says nothing."""
    name = Path(path.stem if path.suffix == ".gz" else path.name)
    found = ENDINGS.get(name.suffix.lower(), "")
    return "lines" if found == "texts" else found


def column_names(source: Source) -> list[str]:
    """The columns of a file, those of the first object where each has its own.

    Raises InputError where the file cannot be used at all, MissingExtra.
    """
    kind = _known(source)
    if kind == "lines":
        return ["text"]
    if kind == "parquet":
        return list(next(read_batches(source)).names)
    if kind in OBJECTS:
        return next((list(row.fields) for row in read_rows(source) if isinstance(row, Thing)), [])
    return _named(next(_records(source, kind)))


def read_rows(source: Source, columns: Sequence[str] | None = None) -> Iterator[Thing | Broken]:
    """Every row: its fields by column. `columns` are all that are needed, where fewer are cheaper to read."""
    kind = _known(source)
    if kind == "lines":
        yield from _lines(source)
    elif kind == "parquet":
        yield from (row for row in read_parquet(source, columns) if isinstance(row, Thing))
    elif kind in OBJECTS:
        yield from read_json_array(source) if kind == "json" else read_json_lines(source)
    else:
        yield from _table(source, kind)


def _known(source: Source) -> str:
    found = format_of(source.path)
    if not found:
        raise InputError(
            "the file's ending says nothing of its format.",
            where=source.name,
            cure=f"Known are {', '.join(ENDINGS)}, each also with .gz.",
        )
    return found


def _lines(source: Source) -> Iterator[Thing | Broken]:
    for line in read_lines(source):
        if isinstance(line, Broken):
            yield line
        else:
            yield Thing(source.place(line.number), {"text": line.text})


def _table(source: Source, kind: str) -> Iterator[Thing | Broken]:
    records = _records(source, kind)
    names = _named(next(records))
    for record in records:
        if isinstance(record, Record):
            yield Thing(record.place, dict(zip(names, record.fields, strict=True)))
        elif isinstance(record, Broken):
            yield record


def _records(source: Source, kind: str) -> Iterator[list[str] | Record | Broken]:
    return read_delimited(source, "\t" if kind == "tsv" else None)


def _named(first: list[str] | Record | Broken) -> list[str]:
    """The names of a header; a column without one is called after its number."""
    names = first if isinstance(first, list) else []
    taken = {name for name in names if name}
    return [name or _free(f"column_{number}", taken) for number, name in enumerate(names, start=1)]


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
