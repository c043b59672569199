"""Keys and usage of channels, and the state of turns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from headrace.errors import NotFound
from headrace.records import Key
from headrace.store import tables
from headrace.store.chain import Chain
from headrace.store.database import Database
from headrace.store.table import adding, driver_insert, record, values


class Keys:
    """Keys by digest; the key itself is never stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: Key) -> None:
        """Store one key."""
        with self._database.write() as connection:
            connection.execute(tables.keys.insert(), values(key))

    def list(self, channel: str | None = None) -> list[Key]:
        """Keys, oldest first, revoked ones included."""
        t = tables.keys
        query = select(t).order_by(t.c.created, t.c.id)
        query = query if channel is None else query.where(t.c.channel == channel)
        with self._database.read() as connection:
            return [record(Key, row) for row in connection.execute(query)]

    def by_digest(self, digest: str) -> Key | None:
        """The key with this SHA-256, revoked or not."""
        t = tables.keys
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.digest == digest)).first()
        return None if found is None else record(Key, found)

    def version(self) -> tuple[int, int]:
        """Numbers that change with every new or revoked key; a server compares them to notice one."""
        with self._database.read() as connection:
            found = connection.execute(select(func.count(), func.count(tables.keys.c.revoked))).one()
        return found[0], found[1]

    def any_live(self) -> bool:
        """Whether any key opens anything."""
        t = tables.keys
        with self._database.read() as connection:
            return (
                connection.execute(select(t.c.id).where(t.c.revoked.is_(None)).limit(1)).first() is not None
            )

    def revoke(self, key_id: str, at: datetime) -> Key:
        """Switch a key off for good; twice keeps the first time. Raises NotFound."""
        t = tables.keys
        with self._database.write() as connection:
            connection.execute(update(t).where(t.c.id == key_id, t.c.revoked.is_(None)).values(revoked=at))
            found = connection.execute(select(t).where(t.c.id == key_id)).first()
        if found is None:
            raise NotFound(f"there is no key {key_id!r}.", cure="See: headrace key list")
        return record(Key, found)


class Usage:
    """Questions asked by channel and UTC day."""

    def __init__(self, database: Database) -> None:
        self._database = database
        more = "ON CONFLICT (channel, day) DO UPDATE SET asked = usage.asked + excluded.asked"
        self._add = driver_insert(tables.usage, database.engine.dialect.name, more)
        self._hold = f"{self._add} RETURNING asked"

    def asked(self, channel: str, day: str) -> int:
        """How many questions the channel has asked on that day (YYYY-MM-DD)."""
        c = tables.usage.c
        with self._database.read() as connection:
            query = select(c.asked).where(c.channel == channel, c.day == day)
            found: int | None = connection.execute(query).scalar()
        return found or 0

    def add(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Add questions by (channel, day)."""
        with self._database.write() as connection:
            self.add_in(connection, counts)

    def held_in(
        self, connection: Connection, places: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], int]:
        """The counts of (channel, day), which nobody else changes until the caller's transaction ends."""
        found: dict[tuple[str, str], int] = {}
        for channel, day in sorted(places):
            asked: int = connection.exec_driver_sql(self._hold, (channel, day, 0)).scalar_one()
            found[channel, day] = asked
        return found

    def add_in(self, connection: Connection, counts: Mapping[tuple[str, str], int]) -> None:
        """Like `add`, inside a transaction of the caller's."""
        # In one order everywhere: two processes that lock the same rows then wait instead of deadlocking.
        rows = [(channel, day, n) for (channel, day), n in sorted(counts.items())]
        if rows:
            connection.exec_driver_sql(self._add, rows)


@dataclass(frozen=True, slots=True)
class TurnState:
    """A turn as it stands: its steps so far, as JSON."""

    id: str
    state: Mapping[str, object]
    started: datetime
    finished: datetime | None = None


class Turns:
    """Turns of the flywheel, so that a killed one is continued."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._chain = Chain(database)

    def open(self) -> TurnState | None:
        """The turn that was begun and not finished."""
        t = tables.turns
        with self._database.read() as connection:
            query = select(t).where(t.c.finished.is_(None)).order_by(t.c.started.desc())
            found = connection.execute(query).first()
        return None if found is None else record(TurnState, found)

    def begin(self, turn: TurnState) -> None:
        """Store a new turn."""
        with self._database.write() as connection:
            connection.execute(adding(tables.turns, self._database.engine.dialect.name), values(turn))

    def save(self, turn_id: str, state: Mapping[str, object], finished: datetime | None = None) -> None:
        """Store how far it got; `finished` ends it, and what has ended is history and changes no more."""
        t = tables.turns
        with self._database.write() as connection:
            open_ = update(t).where(t.c.id == turn_id, t.c.finished.is_(None))
            done = connection.execute(open_.values(state=dict(state), finished=finished))
            if finished is not None and done.rowcount:
                self._chain.append_in(connection, "turn", [turn_id])

    def list(self, limit: int = 100) -> list[TurnState]:
        """Turns, newest first."""
        t = tables.turns
        with self._database.read() as connection:
            query = select(t).order_by(t.c.started.desc()).limit(limit)
            return [record(TurnState, row) for row in connection.execute(query)]
