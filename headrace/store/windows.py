"""What came into the store between two moments, counted where it lies: of reports, not of the circle.

A moment of the store is a set of numbers, one a table, that only grow: whoever counts by them loses and doubles
nothing, wherever a turn was killed and however the clock jumped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, case, func, select

from headrace.records import COUNTING, Adapter, Event, Release
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import record

Pair = tuple[str, str]  # task and channel


@dataclass(frozen=True, slots=True)
class Marks:
    """The newest number of each table at a moment."""

    rows: int = 0
    examples: int = 0
    quarantine: int = 0
    feedback: int = 0
    releases: int = 0
    events: int = 0

    @classmethod
    def from_json(cls, found: object) -> Marks:
        """The marks that `to_json` wrote; zeros where there are none."""
        known = found if isinstance(found, Mapping) else {}
        return cls(**{name: int(known.get(name, 0)) for name in cls.__dataclass_fields__})

    def to_json(self) -> dict[str, int]:
        """A JSON object of the numbers."""
        return asdict(self)


class Asked(NamedTuple):
    """A question that was answered, and the label of its answer."""

    text: str
    label: str


class Day(NamedTuple):
    """Judged answers of one (task, channel) on one day (YYYY-MM-DD): how many, and how many were right."""

    task: str
    channel: str
    day: str
    judged: int
    right: int


class Windows:
    """Reads windows of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def marks(self) -> Marks:
        """Where the store stands now."""
        with self._database.read() as connection:
            return Marks(
                **{
                    name: connection.execute(select(func.max(table.c.seq))).scalar() or 0
                    for name, table in _MARKED.items()
                }
            )

    def rows(self, since: Marks, until: Marks) -> dict[Pair, int]:
        """Rows that came in, by (task, channel); those made of feedback are not counted."""
        t = tables.rows
        found: dict[Pair, int] = self._counts(t, since.rows, until.rows, (), t.c.origin != "feedback")
        return found

    def examples(self, since: Marks, until: Marks) -> dict[Pair, int]:
        """Examples that were made, by (task, channel)."""
        found: dict[Pair, int] = self._counts(tables.examples, since.examples, until.examples, ())
        return found

    def rejected(self, since: Marks, until: Marks) -> dict[tuple[str, str, str], int]:
        """What went to quarantine, by (task, channel, reason)."""
        t = tables.quarantine
        found: dict[tuple[str, str, str], int]
        found = self._counts(t, since.quarantine, until.quarantine, (t.c.reason,))
        return found

    def feedback(self, since: Marks, until: Marks) -> dict[tuple[str, str, str, str], int]:
        """Feedback by (task, channel, verdict, state)."""
        t = tables.feedback
        found: dict[tuple[str, str, str, str], int]
        found = self._counts(t, since.feedback, until.feedback, (t.c.verdict, t.c.state))
        return found

    def releases(self, since: Marks) -> list[Release]:
        """Releases and rollbacks after a moment, in their order."""
        return self._after(Release, tables.releases, since.releases)

    def events(self, since: Marks) -> list[Event]:
        """Events after a moment, in their order."""
        return self._after(Event, tables.events, since.events)

    def adapters(self, since: datetime) -> list[Adapter]:
        """Adapters that were made at that moment or later, in their order."""
        t = tables.adapters
        with self._database.read() as connection:
            rows = connection.execute(select(t).where(t.c.at >= since).order_by(t.c.at, t.c.id))
            return [record(Adapter, row) for row in rows]

    def asked(self, since: datetime, most: int) -> dict[Pair, list[Asked]]:
        """The newest `most` questions of each (task, channel) that were answered after `since`."""
        t = tables.answers
        place = func.row_number().over(partition_by=(t.c.task, t.c.channel), order_by=t.c.id.desc())
        newest = select(t.c.task, t.c.channel, t.c.text, t.c.label, place.label("place"))
        inner = newest.where(t.c.at > since).subquery()
        found: dict[Pair, list[Asked]] = {}
        with self._database.read() as connection:
            for row in connection.execute(select(inner).where(inner.c.place <= most)):
                found.setdefault((row.task, row.channel), []).append(Asked(row.text, row.label))
        return found

    def verdicts(self, since: datetime) -> list[Day]:
        """Answers that users judged since then, by (task, channel, day): the last word on each counts."""
        t = tables.feedback
        last = select(func.max(t.c.seq)).where(t.c.state.in_(COUNTING), t.c.at > since).group_by(t.c.answer)
        query = _days(t, t.c.verdict == "right").where(t.c.seq.in_(last))
        return self._days(query)

    def audits(self, since: datetime) -> list[Day]:
        """Answers that were drawn and audited since then, by (task, channel, day of the audit)."""
        t, a = tables.audits, tables.answers
        query = _days(t, t.c.label == a.c.label, a).join(a, a.c.id == t.c.answer).where(t.c.at > since)
        return self._days(query)

    def _counts(
        self,
        table: Table,
        since: int,
        until: int,
        more: Sequence[ColumnElement[Any]],
        *where: ColumnElement[bool],
    ) -> Any:
        keys = (table.c.task, table.c.channel, *more)
        query = select(*keys, func.count()).group_by(*keys)
        query = query.where(table.c.seq > since, table.c.seq <= until, *where)
        with self._database.read() as connection:
            return {tuple(row[:-1]): row[-1] for row in connection.execute(query)}

    def _after(self, kind: type[Any], table: Table, since: int) -> list[Any]:
        query = select(table).where(table.c.seq > since).order_by(table.c.seq)
        with self._database.read() as connection:
            return [record(kind, row) for row in connection.execute(query)]

    def _days(self, query: Any) -> list[Day]:
        with self._database.read() as connection:
            rows: list[Any] = list(connection.execute(query))
        return [Day(task, channel, day, judged, right) for task, channel, day, judged, right in rows]


def pairs(*found: Iterable[tuple[str, ...]]) -> list[Pair]:
    """Every (task, channel) that stands at the front of the keys, in order."""
    return sorted({(key[0], key[1]) for keys in found for key in keys})


def _days(moments: Table, right: ColumnElement[bool], pair: Table | None = None) -> Any:
    """Judged and right answers by (task, channel, day of `moments`)."""
    of = moments if pair is None else pair
    day = func.substr(moments.c.at, 1, 10)
    keys = (of.c.task, of.c.channel, day)
    return (
        select(*keys, func.count(), func.sum(case((right, 1), else_=0)))
        .select_from(moments)
        .group_by(*keys)
        .order_by(*keys)
    )


_MARKED = {
    "rows": tables.rows,
    "examples": tables.examples,
    "quarantine": tables.quarantine,
    "feedback": tables.feedback,
    "releases": tables.releases,
    "events": tables.events,
}
