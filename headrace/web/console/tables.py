"""Tables that are sorted by the server: `?sort=name`, and `?sort=-name` for the other way round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from headrace.web.console.visit import Visit

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """A column: its `key` of the words, what it is sorted `by`, and whether it holds numbers."""

    key: str
    by: Callable[[R], Any] | None = None
    number: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column as a page shows it; `href` sorts by it, `order` says how it is sorted now."""

    key: str
    number: bool
    href: str = ""
    order: str = ""


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """Heads and the rows in the order that was asked for."""

    heads: tuple[Head, ...]
    rows: tuple[R, ...]


def table(visit: Visit, rows: Iterable[R], columns: Sequence[Column[R]], default: str = "") -> Table[R]:
    """A table of `rows`, sorted as the address asks, else by `default`, else as they are."""
    asked = visit.query("sort") or default
    name, backwards = asked.removeprefix("-"), asked.startswith("-")
    by = next((column.by for column in columns if column.key == name), None)
    found = list(rows)
    if by is not None:
        key = by
        found.sort(key=lambda row: (key(row) is None, key(row) if key(row) is not None else 0))
        found = found[::-1] if backwards else found
    return Table(tuple(_head(visit, column, name, backwards) for column in columns), tuple(found))


def _head(visit: Visit, column: Column[Any], name: str, backwards: bool) -> Head:
    if column.by is None:
        return Head(column.key, column.number)
    now = column.key == name
    # A column of numbers begins with the largest.
    next_backwards = not backwards if now else column.number
    kept = [(k, v) for k, v in visit.request.query_params.multi_items() if k not in ("sort", "said")]
    href = "?" + urlencode([*kept, ("sort", f"-{column.key}" if next_backwards else column.key)])
    order = ("descending" if backwards else "ascending") if now else ""
    return Head(column.key, column.number, href, order)
