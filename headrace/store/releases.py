"""Adapters, reports, releases and events: append-only and chained by hashes, so that a changed past shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, select

from headrace.errors import NotFound
from headrace.records import Adapter, Event, Release, Report
from headrace.store import tables
from headrace.store.chain import Chain
from headrace.store.database import Database
from headrace.store.table import adding, batches, one_at_a_time, record, values


class Filed(NamedTuple):
    """What serving needs of an adapter's record: `files` as in Adapter, `channel` None for a shared one."""

    id: str
    channel: str | None
    files: Mapping[str, str]


class History:
    """What was made, judged, decided and released."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name
        self.chain = Chain(database)

    def add(self, *records: Adapter | Report | Release | Event) -> None:
        """Append records in one transaction; one that is there already stays as it is."""
        with self._database.write() as connection:
            self.add_in(connection, *records)

    def add_in(self, connection: Connection, *records: Adapter | Report | Release | Event) -> None:
        """Like `add`, inside a transaction of the caller's; what is new gets its entry in the chain."""
        # Before the first number is given, so that records stand in the order of the chain.
        one_at_a_time(connection)
        for kind, same in groupby(records, type):
            table, fresh = _TABLES[kind], list[str]()
            for item in same:
                made = adding(table, self._dialect).values(values(item)).returning(table.c.id)
                fresh += connection.execute(made).scalars()
            self.chain.append_in(connection, kind.__name__.lower(), fresh)

    def adapter(self, adapter_id: str) -> Adapter:
        """One adapter by id; raises NotFound."""
        found: Adapter = self._one(Adapter, "adapter", adapter_id)
        return found

    def adapters(self, task: str | None = None, channel: str | None = None) -> list[Adapter]:
        """Adapters, newest first; `channel` is a name, or "" for the shared ones. Withdrawn ones are left out."""
        t = tables.adapters
        query = select(t).where(t.c.withdrawn.is_(None)).order_by(t.c.at.desc(), t.c.id)
        query = query if task is None else query.where(t.c.task == task)
        if channel is not None:
            query = query.where(t.c.channel == channel if channel else t.c.channel.is_(None))
        with self._database.read() as connection:
            return [record(Adapter, row) for row in connection.execute(query)]

    def made(self) -> list[Adapter]:
        """Adapters that were not withdrawn, in the order in which they were made, whatever the clock said."""
        t, c = tables.adapters, tables.chain
        first = select(c.c.record, func.min(c.c.seq).label("place")).where(c.c.kind == "adapter")
        place = first.group_by(c.c.record).subquery()
        query = select(t).outerjoin(place, place.c.record == t.c.id).where(t.c.withdrawn.is_(None))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(func.coalesce(place.c.place, 0), t.c.at, t.c.id))
            return [record(Adapter, row) for row in rows]

    def files_of(self, ids: Iterable[str]) -> list[Filed]:
        """The files of the adapters with these ids, those that exist; the rest of a record is not read."""
        t, found = tables.adapters, list[Filed]()
        with self._database.read() as connection:
            for some in batches(sorted(ids), 500):
                rows = connection.execute(select(t.c.id, t.c.channel, t.c.files).where(t.c.id.in_(some)))
                found += [Filed(*row) for row in rows]
        return found

    def reports(self, adapter: str | None = None, channel: str | None = None) -> list[Report]:
        """Reports, newest first."""
        t = tables.reports
        query = select(t).order_by(t.c.at.desc(), t.c.id)
        query = query if adapter is None else query.where(t.c.adapter == adapter)
        query = query if channel is None else query.where(t.c.channel == channel)
        with self._database.read() as connection:
            return [record(Report, row) for row in connection.execute(query)]

    def serving(self, at: datetime | None = None) -> list[Release]:
        """The newest release of every (task, channel), as of `at` where given.

        As of `at` means after the last release, in the order in which they were made, that was written while
        the clock said `at` or earlier: a clock that was set back said `at` more than once (`set_back`).
        Now, a pair whose adapter was withdrawn because a person was forgotten is served by nothing.
        """
        t, a = tables.releases, tables.adapters
        newest = select(func.max(t.c.seq)).group_by(t.c.task, t.c.channel)
        newest = newest if at is None else newest.where(t.c.seq <= _until(at))
        query = select(t).where(t.c.seq.in_(newest)).order_by(t.c.task, t.c.channel)
        if at is None:
            query = query.join(a, a.c.id == t.c.adapter).where(a.c.withdrawn.is_(None))
        with self._database.read() as connection:
            return [record(Release, row) for row in connection.execute(query)]

    def set_back(self, at: datetime) -> datetime | None:
        """What the clock had said already, at most, when it said `at` for the last time; None where not more.

        Releases alone tell: that the clock was set back where nothing was released between is not known.
        """
        t = tables.releases
        with self._database.read() as connection:
            latest: datetime | None = connection.execute(
                select(func.max(t.c.at)).where(t.c.seq <= _until(at))
            ).scalar()
        return latest if latest is not None and latest > at else None

    def current(self) -> list[Release]:
        """What a server that starts must know, in the order in which it was made, whatever the clock said then.

        That is `serving` and each task's newest release of a shared adapter, to whichever channel it went.
        """
        t, a = tables.releases, tables.adapters
        live = a.c.withdrawn.is_(None)
        newest = select(func.max(t.c.seq)).group_by(t.c.task, t.c.channel)
        of_all = (
            select(func.max(t.c.seq))
            .join(a, a.c.id == t.c.adapter)
            .where(a.c.channel.is_(None), live)
            .group_by(t.c.task)
        )
        query = select(t).join(a, a.c.id == t.c.adapter).where(live)
        query = query.where(t.c.seq.in_(newest) | t.c.seq.in_(of_all)).order_by(t.c.seq)
        with self._database.read() as connection:
            return [record(Release, row) for row in connection.execute(query)]

    def since(self, version: int) -> list[Release]:
        """Releases after that `version`, in the order in which they were made."""
        t = tables.releases
        with self._database.read() as connection:
            rows = connection.execute(select(t).where(t.c.seq > version).order_by(t.c.seq))
            return [record(Release, row) for row in rows]

    def releases(
        self, task: str | None = None, channel: str | None = None, limit: int | None = 1000
    ) -> list[Release]:
        """Releases, newest first; with `limit` None all of them."""
        return self._newest(Release, tables.releases, task, channel, limit)

    def events(
        self, task: str | None = None, channel: str | None = None, limit: int | None = 1000
    ) -> list[Event]:
        """Events, newest first; with `limit` None all of them."""
        return self._newest(Event, tables.events, task, channel, limit)

    def of_kind(self, kind: str, task: str) -> list[Event]:
        """The events of one kind and task, oldest first."""
        t = tables.events
        query = select(t).where(t.c.kind == kind, t.c.task == task).order_by(t.c.seq)
        with self._database.read() as connection:
            return [record(Event, row) for row in connection.execute(query)]

    def version(self) -> int:
        """A number that grows with every release; a server compares it to notice one."""
        with self._database.read() as connection:
            found: int | None = connection.execute(select(func.max(tables.releases.c.seq))).scalar()
        return found or 0

    def _newest(
        self, kind: type[Any], table: Table, task: str | None, channel: str | None, limit: int | None
    ) -> list[Any]:
        query = select(table).order_by(table.c.seq.desc()).limit(limit)
        query = query if task is None else query.where(table.c.task == task)
        query = query if channel is None else query.where(table.c.channel == channel)
        with self._database.read() as connection:
            return [record(kind, row) for row in connection.execute(query)]

    def _one(self, kind: type[Any], noun: str, wanted: str) -> Any:
        table = _TABLES[kind]
        with self._database.read() as connection:
            found: Sequence[Any] = connection.execute(select(table).where(table.c.id == wanted)).all()
        if not found:
            raise NotFound(f"there is no {noun} {wanted!r}.", cure="See: headrace history")
        return record(kind, found[0])


def _until(at: datetime) -> Any:
    """The number of the last release that was written while the clock said `at` or earlier."""
    return select(func.max(tables.releases.c.seq)).where(tables.releases.c.at <= at).scalar_subquery()


_TABLES: dict[type[Any], Table] = {
    Adapter: tables.adapters,
    Report: tables.reports,
    Release: tables.releases,
    Event: tables.events,
}
