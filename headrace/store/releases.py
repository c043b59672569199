"""Adapters, reports, releases and events: append-only, so the past can be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, func, select

from headrace.errors import NotFound
from headrace.records import Adapter, Event, Release, Report
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import adding, batches, record, values


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

    def add(self, *records: Adapter | Report | Release | Event) -> None:
        """Append records in one transaction; one that is there already stays as it is."""
        with self._database.write() as connection:
            self.add_in(connection, *records)

    def add_in(self, connection: Connection, *records: Adapter | Report | Release | Event) -> None:
        """Like `add`, inside a transaction of the caller's."""
        for item in records:
            connection.execute(adding(_TABLES[type(item)], self._dialect), [values(item)])

    def adapter(self, adapter_id: str) -> Adapter:
        """One adapter by id; raises NotFound."""
        found: Adapter = self._one(Adapter, "adapter", adapter_id)
        return found

    def adapters(self, task: str | None = None, channel: str | None = None) -> list[Adapter]:
        """Adapters, newest first; `channel` is a name, or "" for the shared ones."""
        t = tables.adapters
        query = select(t).order_by(t.c.at.desc(), t.c.id)
        query = query if task is None else query.where(t.c.task == task)
        if channel is not None:
            query = query.where(t.c.channel == channel if channel else t.c.channel.is_(None))
        with self._database.read() as connection:
            return [record(Adapter, row) for row in connection.execute(query)]

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
        """The newest release of every (task, channel), as of `at` where given."""
        t = tables.releases
        newest = select(func.max(t.c.seq)).group_by(t.c.task, t.c.channel)
        newest = newest if at is None else newest.where(t.c.at <= at)
        query = select(t).where(t.c.seq.in_(newest)).order_by(t.c.task, t.c.channel)
        with self._database.read() as connection:
            return [record(Release, row) for row in connection.execute(query)]

    def shared(self) -> list[Release]:
        """The newest release of a shared adapter of each task, to whichever channel it went."""
        t, a = tables.releases, tables.adapters
        of_all = (
            select(t.c.seq, t.c.task).join(a, a.c.id == t.c.adapter).where(a.c.channel.is_(None)).subquery()
        )
        newest = select(func.max(of_all.c.seq)).group_by(of_all.c.task)
        with self._database.read() as connection:
            return [record(Release, row) for row in connection.execute(select(t).where(t.c.seq.in_(newest)))]

    def since(self, version: int) -> list[Release]:
        """Releases after that `version`, in the order in which they were made."""
        t = tables.releases
        with self._database.read() as connection:
            rows = connection.execute(select(t).where(t.c.seq > version).order_by(t.c.seq))
            return [record(Release, row) for row in rows]

    def releases(
        self, task: str | None = None, channel: str | None = None, limit: int = 1000
    ) -> list[Release]:
        """Releases, newest first."""
        return self._newest(Release, tables.releases, task, channel, limit)

    def events(self, task: str | None = None, channel: str | None = None, limit: int = 1000) -> list[Event]:
        """Events, newest first."""
        return self._newest(Event, tables.events, task, channel, limit)

    def version(self) -> int:
        """A number that grows with every release; a server compares it to notice one."""
        with self._database.read() as connection:
            found: int | None = connection.execute(select(func.max(tables.releases.c.seq))).scalar()
        return found or 0

    def _newest(
        self, kind: type[Any], table: Table, task: str | None, channel: str | None, limit: int
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


_TABLES: dict[type[Any], Table] = {
    Adapter: tables.adapters,
    Report: tables.reports,
    Release: tables.releases,
    Event: tables.events,
}
