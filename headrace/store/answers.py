"""Answers that were given, and replies kept for retries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, literal_column, select, update

from headrace.errors import NotFound
from headrace.records import Answer
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import adding, driver_insert, record, values


class Answers:
    """Answers, durable before they are sent."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = driver_insert(tables.answers, database.engine.dialect.name)

    def add(self, answers: Sequence[Answer]) -> None:
        """Store answers in one transaction; `database.write` returns once it is on disk."""
        with self._database.write() as connection:
            self.add_in(connection, answers)

    def add_in(self, connection: Connection, answers: Sequence[Answer]) -> None:
        """Like `add`, inside a transaction of the caller's."""
        if answers:
            connection.exec_driver_sql(self._insert, [_columns(answer) for answer in answers])

    def get(self, answer_id: str, *, channel: str | None = None) -> Answer:
        """One answer; that of another channel is not found, in the same words as an id nobody has."""
        t = tables.answers
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.id == answer_id)).first()
        if found is None or (channel is not None and found.channel != channel):
            raise NotFound(
                "there is no such answer.", where="answer", cure="Send the id that /v1/predict returned."
            )
        return record(Answer, found)

    def latest(self, task: str | None = None, channel: str | None = None, limit: int = 50) -> list[Answer]:
        """The answers that were given last, newest first."""
        t = tables.answers
        # SQLite's rowid is the order of coming, so that a long table is read from its end.
        order = literal_column("rowid") if self._database.is_sqlite else t.c.at
        query = select(t).order_by(order.desc(), t.c.id).limit(limit)
        for column, wanted in ((t.c.task, task), (t.c.channel, channel)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            return [record(Answer, row) for row in connection.execute(query)]

    def counts(self) -> dict[tuple[str, str], int]:
        """Answers by (task, channel)."""
        c = tables.answers.c
        with self._database.read() as connection:
            query = select(c.task, c.channel, func.count()).group_by(c.task, c.channel)
            return {(task, channel): n for task, channel, n in connection.execute(query)}


def _columns(answer: Answer) -> tuple[object, ...]:
    """The columns of an answer, in the table's order."""
    return (
        answer.id,
        answer.task,
        answer.channel,
        answer.text,
        answer.label,
        answer.confidence,
        answer.release,
        answer.adapter,
        answer.because,
        tables.moment(answer.at),
        answer.person,
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """The first reply to an idempotency key; `status` None while its request is in flight."""

    digest: str
    status: int | None
    body: str | None


class Replies:
    """First replies by (channel, idempotency key), kept at least a day."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect.name

    def claim(self, channel: str, key: str, digest: str, at: datetime) -> Reply | None:
        """None where this request is the first with its key; else the reply (or the claim) of the first."""
        first = Reply(digest, None, None)
        with self._database.write() as connection:
            return self.add_in(connection, channel, key, first, at)

    def find(self, channel: str, key: str) -> Reply | None:
        """The first reply to this key, where there was one."""
        with self._database.read() as connection:
            return self.find_in(connection, channel, key)

    def find_in(self, connection: Connection, channel: str, key: str) -> Reply | None:
        """Like `find`, inside a transaction of the caller's."""
        t = tables.replies
        found = connection.execute(select(t).where(t.c.channel == channel, t.c.key == key)).first()
        return None if found is None else record(Reply, found)

    def add_in(
        self, connection: Connection, channel: str, key: str, reply: Reply, at: datetime
    ) -> Reply | None:
        """Keep a reply in the transaction that carries its request out; else give the one kept before."""
        t = tables.replies
        row = values(reply, channel=channel, key=key, at=at)
        adds = adding(t, self._dialect).values(row).returning(t.c.key)
        while connection.execute(adds).first() is None:
            # Postgres: the one that was in the way may be gone a moment later; then this one is the first.
            kept = self.find_in(connection, channel, key)
            if kept is not None:
                return kept
        return None

    def keep(self, channel: str, key: str, status: int, body: str) -> None:
        """Keep the first reply, 500s included."""
        t = tables.replies
        with self._database.write() as connection:
            where = (t.c.channel == channel, t.c.key == key)
            connection.execute(update(t).where(*where).values(status=status, body=body))

    def release(self, channel: str, key: str) -> None:
        """Forget a claim whose request was never carried out, so that it may be sent again."""
        t = tables.replies
        with self._database.write() as connection:
            connection.execute(delete(t).where(t.c.channel == channel, t.c.key == key, t.c.status.is_(None)))

    def forget_before(self, at: datetime) -> None:
        """Drop replies older than `at`."""
        with self._database.write() as connection:
            connection.execute(delete(tables.replies).where(tables.replies.c.at < at))
