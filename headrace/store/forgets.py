"""Persons who are being forgotten: how far each has come, so that one that was cut off is finished. No names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import record, values


@dataclass(frozen=True, slots=True)
class ForgetState:
    """One as it stands: `state` is the plan and what was done of it, as JSON; of the person it holds nothing."""

    id: str
    state: Mapping[str, Any]
    started: datetime
    finished: datetime | None = None


class Forgets:
    """Persons who were or are being forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self) -> ForgetState | None:
        """The one that was begun and not finished."""
        t = tables.forgets
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.finished.is_(None)).order_by(t.c.seq)).first()
        return None if found is None else record(ForgetState, found)

    def begin_in(self, connection: Connection, forget: ForgetState) -> None:
        """Store a new one, in the transaction that deletes what it plans to delete."""
        connection.execute(tables.forgets.insert().values(values(forget)))

    def save_in(
        self,
        connection: Connection,
        forget_id: str,
        state: Mapping[str, Any],
        finished: datetime | None = None,
    ) -> None:
        """Store how far it got, inside a transaction of the caller's; `finished` ends it."""
        t = tables.forgets
        connection.execute(update(t).where(t.c.id == forget_id).values(state=dict(state), finished=finished))

    def version(self) -> int:
        """A number that grows each time a person's feedback is deleted; a server compares it to notice one."""
        with self._database.read() as connection:
            found: int | None = connection.execute(select(func.max(tables.forgets.c.seq))).scalar()
        return found or 0
