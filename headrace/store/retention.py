"""What is older than the recipe's days, deleted for good: answers, searches, closed conversations, quarantine.

Records of history stay: what they commit to is theirs alone, and none of them repeats a text of what is
deleted here. Answers that somebody said something of stay, since that is what is learned from; a trial's stay
until it has ended. A conversation goes with its messages, tickets, checks and the answers given in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, exists, func, select

from headrace.recipe import RetentionRecipe
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.talk import Talk, erase, erase_talk_in, talk_of

Counts = dict[str, int]
BATCH = 200
"""Records of one transaction: others write between two of them."""


def expire(database: Database, retention: RetentionRecipe, now: datetime, *, dry: bool = False) -> Counts:
    """Delete what is too old, or count what would be where `dry`; counts by table.

    What is deleted is overwritten in SQLite's file, and its log is emptied. Raises StoreError.
    """
    counts: Counts = {}
    for days, step in (
        (retention.conversations, _conversations),
        (retention.answers, _searches),
        (retention.answers, _answers),
        (retention.quarantine, _quarantine),
    ):
        if days is not None:
            _run(database, counts, step, now - timedelta(days=days), dry)
    if not dry:
        database.checkpoint()
    return {name: n for name, n in counts.items() if n}


Step = Callable[[Connection, datetime, int | None], Counts]
"""(connection, before, at most so many; None counts alone) -> what was deleted."""


def _run(database: Database, counts: Counts, step: Step, before: datetime, dry: bool) -> None:
    if dry:
        with database.read() as connection:
            _add(counts, step(connection, before, None))
        return
    while True:
        with database.write() as connection:
            if database.is_sqlite:
                connection.exec_driver_sql("PRAGMA secure_delete=ON")
            done = step(connection, before, BATCH)
        _add(counts, done)
        if not any(done.values()):
            return


def _conversations(connection: Connection, before: datetime, most: int | None) -> Counts:
    c, m = tables.conversations.c, tables.messages.c
    last = select(func.max(m.at)).where(m.conversation == c.id).scalar_subquery()
    old = func.coalesce(last, c.at) < before
    query = select(c.id).where(c.state != "waiting", old).order_by(c.seq)
    ids = list(connection.execute(query if most is None else query.limit(most)).scalars())
    if most is None:
        return {"conversations": len(ids)}
    talk = talk_of(connection, c.id.in_(ids)) if ids else Talk()
    counts = erase_talk_in(connection, talk)
    free = connection.execute(_free().where(tables.answers.c.id.in_(talk.answers))).scalars().all()
    return counts | {"answers": _erase_answers(connection, free)}


def _searches(connection: Connection, before: datetime, most: int | None) -> Counts:
    s = tables.searches.c
    return _by_id(connection, tables.searches, s.at < before, most)


def _answers(connection: Connection, before: datetime, most: int | None) -> Counts:
    query = _free().where(tables.answers.c.at < before)
    if most is None:
        return {"answers": len(connection.execute(query).all())}
    return {"answers": _erase_answers(connection, connection.execute(query.limit(most)).scalars().all())}


def _quarantine(connection: Connection, before: datetime, most: int | None) -> Counts:
    return _by_id(connection, tables.quarantine, tables.quarantine.c.at < before, most)


def _free() -> Select[Any]:
    """Answers that nothing hangs on: no message, no feedback, no audit, no trial that is open."""
    a, f, u, m = tables.answers.c, tables.feedback.c, tables.audits.c, tables.messages.c
    s, t = tables.shadows.c, tables.trials.c
    open_ = select(s.answer).join(tables.trials, t.id == s.trial).where(t.ended.is_(None), s.answer == a.id)
    return select(a.id).where(
        ~exists(select(m.id).where(m.answer == a.id)),
        ~exists(select(f.id).where(f.answer == a.id)),
        ~exists(select(u.seq).where(u.answer == a.id)),
        ~exists(open_),
    )


def _erase_answers(connection: Connection, ids: Sequence[str]) -> int:
    erase(connection, tables.shadows, "answer", ids)
    return erase(connection, tables.answers, "id", ids)


def _by_id(connection: Connection, table: Table, old: ColumnElement[bool], most: int | None) -> Counts:
    query = select(table.c.id).where(old)
    ids = list(connection.execute(query if most is None else query.limit(most)).scalars())
    return {table.name: len(ids) if most is None else erase(connection, table, "id", ids)}


def _add(counts: Counts, more: Counts) -> None:
    for name, n in more.items():
        counts[name] = counts.get(name, 0) + n
