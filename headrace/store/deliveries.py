"""Deliveries of webhooks, in and out, each known by its id for good; and the secrets under which they are signed.

A delivery that came in holds what it said until it was answered; one that goes out holds no text at all: its id
is that of the message.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, exists, func, select, update

from headrace.records import Message
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import adding, record, values

Direction = Literal["in", "out"]
DeliveryState = Literal["waiting", "done", "dead"]
THREAD = "webhook:"
"""Begins the contact of a conversation that came by a webhook; the sender's thread follows."""
_OVERLAP = 1000  # numbers looked at again, since of two transactions the one that began first may end last


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery; `next` is when it is tried, `tries` how often it was in vain."""

    id: str
    channel: str
    direction: Direction
    at: datetime
    body: str = ""
    state: DeliveryState = "waiting"
    tries: int = 0
    next: datetime | None = None


class Deliveries:
    """Deliveries and secrets."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = 0

    def add(self, deliveries: Sequence[Delivery]) -> int:
        """Store deliveries; those that are there already stay as they are. How many were new."""
        if not deliveries:
            return 0
        made = adding(tables.deliveries, self._database.engine.dialect.name)
        with self._database.write() as connection:
            return sum(connection.execute(made, [values(one)]).rowcount for one in deliveries)

    def due(self, direction: Direction, now: datetime, limit: int = 100) -> builtins.list[Delivery]:
        """What is to be tried now, oldest first."""
        t = tables.deliveries
        query = (
            select(t)
            .where(t.c.direction == direction, t.c.state == "waiting", t.c.next <= now)
            .order_by(t.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [record(Delivery, row) for row in connection.execute(query)]

    def settle(
        self, delivery: Delivery, state: DeliveryState, *, tries: int = 0, again: datetime | None = None
    ) -> None:
        """Say how a try ended. What is done or dead holds no text any more."""
        t = tables.deliveries
        body = delivery.body if state == "waiting" else ""
        changed = update(t).where(
            t.c.channel == delivery.channel, t.c.direction == delivery.direction, t.c.id == delivery.id
        )
        with self._database.write() as connection:
            connection.execute(changed.values(state=state, tries=tries, next=again, body=body))

    def list(
        self, *, channel: str | None = None, state: DeliveryState | None = None, limit: int = 200
    ) -> builtins.list[Delivery]:
        """Deliveries, newest first."""
        t = tables.deliveries
        query = select(t).order_by(t.c.seq.desc()).limit(limit)
        for column, wanted in ((t.c.channel, channel), (t.c.state, state)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            return [record(Delivery, row) for row in connection.execute(query)]

    def unsent(self, limit: int = 100) -> builtins.list[tuple[str, Message]]:
        """(channel, message) of what customers of webhooks are to see and no delivery is there for yet."""
        m, c, d = tables.messages, tables.conversations, tables.deliveries
        known = select(d.c.seq).where(d.c.direction == "out", d.c.channel == c.c.channel, d.c.id == m.c.id)
        query = (
            select(m, c.c.channel.label("of_channel"))
            .join(c, c.c.id == m.c.conversation)
            .where(m.c.seq > self._seen - _OVERLAP, c.c.contact.startswith(THREAD), m.c.author != "customer")
            .where(m.c.decision.is_(None) | (m.c.decision == "alone") | (m.c.author == "agent"))
            .where(~exists(known))
            .order_by(m.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            last = int(connection.execute(select(func.coalesce(func.max(m.c.seq), 0))).scalar_one())
            found = [(row.of_channel, record(Message, row)) for row in connection.execute(query)]
        if not found:
            self._seen = last
        return found

    def clear(self, before: datetime) -> int:
        """Delete what was done or given up before a moment; how many that were."""
        t = tables.deliveries
        old = delete(t).where(t.c.state != "waiting", t.c.at < before)
        with self._database.write() as connection:
            return int(connection.execute(old).rowcount)

    def secrets(self, channel: str) -> builtins.list[str]:
        """The channel's secrets, the newest first; none where none was made."""
        t = tables.salts
        query = select(t.c.value).where(t.c.name.in_(_names(channel))).order_by(t.c.name)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def set_secrets(self, channel: str, secrets: Sequence[str]) -> None:
        """Let these be the channel's secrets from now on, two at most."""
        t, names = tables.salts, _names(channel)
        rows = [{"name": name, "value": value} for name, value in zip(names, secrets, strict=False)]
        with self._database.write() as connection:
            connection.execute(delete(t).where(t.c.name.in_(names)))
            if rows:
                connection.execute(t.insert(), rows)


def _names(channel: str) -> tuple[str, str]:
    return f"webhook1:{channel}", f"webhook2:{channel}"
