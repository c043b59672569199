"""What the readers of all tables share: records <-> database rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, Table, text
from sqlalchemy.dialects import postgresql, sqlite

# Any fixed number does: it names the lock within one Postgres database.
_READ_THEN_WRITE = 7_263_483

R = TypeVar("R")
T = TypeVar("T")


def record(kind: type[R], row: Any) -> R:
    """A record of `kind` from a database row; lists become tuples where the record is frozen."""
    values = row._mapping
    return kind(**{f.name: _frozen(values[f.name]) for f in fields(kind) if f.name in values})  # type: ignore[arg-type]


def values(item: Any, **more: object) -> dict[str, Any]:
    """The columns of a record, with `more` beside them."""
    return {f.name: _plain(getattr(item, f.name)) for f in fields(item)} | more


def insert(table: Table, dialect: str) -> Any:
    """An INSERT that offers ON CONFLICT in either database."""
    maker: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return maker(table)


def adding(table: Table, dialect: str) -> Insert:
    """An INSERT that leaves alone what is there already."""
    made: Insert = insert(table, dialect).on_conflict_do_nothing()
    return made


def driver_insert(table: Table, dialect: str, conflict: str = "ON CONFLICT DO NOTHING") -> str:
    """An INSERT of every column in order, in the driver's own words, for `exec_driver_sql` with tuples.

    SQLAlchemy's own costs more per row than the database does.
    """
    names = [column.name for column in table.columns]
    marks = ", ".join(["?" if dialect == "sqlite" else "%s"] * len(names))
    return " ".join(["INSERT INTO", table.name, f"({', '.join(names)})", "VALUES", f"({marks})", conflict])


def one_at_a_time(connection: Connection) -> None:
    """Let no other transaction that calls this run beside it, so that it may read first and write later.

    SQLite's writers run one at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _READ_THEN_WRITE})


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items, in order."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    return value
