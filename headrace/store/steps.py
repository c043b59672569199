"""Numbers of the steps in which rows and feedback became examples, so that the order can be told again.

A clock would not do: it may jump, and one step may begin before another has ended.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import one_at_a_time


class Steps:
    """How far the making of examples has come."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self) -> int:
        """The number of the last step that was taken; 0 before the first."""
        with self._database.read() as connection:
            found: int | None = connection.execute(select(func.max(tables.steps.c.seq))).scalar()
        return found or 0


def next_step_in(connection: Connection) -> int:
    """A number above all that were given, inside a transaction of the caller's, beside which none takes one."""
    one_at_a_time(connection)
    t = tables.steps
    number: int = connection.execute(t.insert().values().returning(t.c.seq)).scalar_one()
    connection.execute(delete(t).where(t.c.seq < number))
    return number
