"""The sheets of an .xlsx file as rows of text: its zip and XML read within limits, formulas left alone."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.errors import InputError
from headrace.knowledge.markup import Element, children, tree, words

MOST_BYTES = 50_000_000
"""Of one part of the file, unpacked."""
_CELL = re.compile(r"([A-Z]{1,3})[0-9]+")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet: its name and its rows, each with the number that it has there."""

    name: str
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def sheets(data: bytes, where: str) -> Iterator[Sheet]:
    """The sheets of a workbook in order; raises InputError where it is none."""
    with opened(data, where) as archive:
        shared = [words(entry) for entry in _part(archive, "xl/sharedStrings.xml", where, needed=False)]
        links = _part(archive, "xl/_rels/workbook.xml.rels", where)
        targets = {link.get("Id", ""): link.get("Target", "") for link in links}
        for entry in _part(archive, "xl/workbook.xml", where).iter("sheet"):
            path = targets.get(entry.get("id", ""), "")
            path = path.removeprefix("/") if path.startswith("/") else f"xl/{path}"
            rows = _rows(_part(archive, path, where), shared)
            yield Sheet(entry.get("name", ""), tuple(rows))


def opened(data: bytes, where: str) -> zipfile.ZipFile:
    """A zip archive; raises InputError where it is none."""
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, RuntimeError, OSError) as error:
        raise InputError(
            f"not a whole file of its kind: {error}.", where=where, cure="Export it again."
        ) from None


def member(archive: zipfile.ZipFile, name: str, where: str, most: int = MOST_BYTES) -> bytes | None:
    """What an archive holds under a name, None where it holds none; raises InputError beyond `most` bytes."""
    try:
        with archive.open(name) as stream:
            data = stream.read(most + 1)
    except KeyError:
        return None
    except (zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError) as error:
        raise InputError(
            f"{name!r} cannot be unpacked: {error}.", where=where, cure="Export it again."
        ) from None
    if len(data) > most:
        raise InputError(f"{name!r} is larger than {most:,} bytes.", where=where, cure="Export it in parts.")
    return data


def _part(archive: zipfile.ZipFile, name: str, where: str, *, needed: bool = True) -> Element:
    data = member(archive, name, where)
    if data is None and needed:
        raise InputError(f"no workbook: it has no {name!r}.", where=where, cure="Save it as .xlsx.")
    return tree(data or b"<none/>", where)


def _rows(root: Element, shared: list[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, row in enumerate(root.iter("row"), start=1):
        cells: dict[int, str] = {}
        for at, cell in enumerate(children(row, "c")):
            cells[_column(cell, at)] = _text(cell, shared)
        width = min(max(cells, default=-1) + 1, 100)
        yield int(row.get("r") or number), tuple(cells.get(at, "") for at in range(width))


def _column(cell: Element, at: int) -> int:
    """Where a cell stands in its row, from 0."""
    found = _CELL.fullmatch(cell.get("r", ""))
    if found is None:
        return at
    number = 0
    for letter in found[1]:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _text(cell: Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(words(part) for part in children(cell, "is"))
    value = next((words(part) for part in children(cell, "v")), "")
    if cell.get("t") == "s":
        return shared[int(value)] if value.isdecimal() and int(value) < len(shared) else ""
    return value
