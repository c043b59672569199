"""What one person said and was told, deleted for good: from every table, from history, from the file.

History stays, with what named the person or repeated a text taken out; the entries of such records in the chain
lose their salts, and the caller writes the event that says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, select, update

from headrace.errors import StoreBusy
from headrace.store import tables
from headrace.store.chain import HISTORY, Chain
from headrace.store.database import Database
from headrace.store.failures import database_errors
from headrace.store.table import batches
from headrace.store.talk import Talk, erase, erase_talk_in, talk_of

GONE = "(forgotten)"
_BATCH = 500
_GROWN = {"word", "before", "after"}
_NAME = re.compile(r"[a-z]+_[0-9A-Za-z._-]+")
_TALK = ("conversations", "messages", "tickets", "checks", "searches", "deliveries", "documents", "passages")
_ERASED = ("rows", "quarantine", "examples", "answers", "feedback", "shadows", "audits", "replies", *_TALK)


@dataclass(frozen=True, slots=True)
class Theirs:
    """What belongs to a person: the pseudonym, ids of feedback, answers and rows, and the texts they gave."""

    person: str
    feedback: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    rows: frozenset[str] = field(default=frozenset())
    talk: Talk = field(default=Talk())

    @property
    def names(self) -> frozenset[str]:
        """All ids, by which other records may name them."""
        talk = self.talk.conversations | self.talk.messages
        return self.feedback | self.answers | self.rows | talk | {self.person}


def find(database: Database, person: str) -> Theirs:
    """What a person gave and was answered, and feedback of others on those answers.

    An answer whose asker is not known is theirs where nobody else has said anything of it.
    """
    f, a = tables.feedback.c, tables.answers.c
    with database.read() as connection:
        talk = talk_of(connection, tables.conversations.c.person == person)
        said = set(connection.execute(select(f.id).where(f.person == person)).scalars())
        asked = set(connection.execute(select(a.id).where(a.person == person)).scalars())
        about = select(f.answer).where(f.person == person)
        nameless = set(connection.execute(select(a.id).where(a.person.is_(None), a.id.in_(about))).scalars())
        others = (f.answer.in_(about), (f.person != person) | f.person.is_(None))
        answers = (
            asked
            | talk.answers
            | (nameless - set(connection.execute(select(f.answer).where(*others)).scalars()))
        )
        for some in batches(sorted(answers), _BATCH):
            said |= set(connection.execute(select(f.id).where(f.answer.in_(some))).scalars())
        texts = frozenset(_texts(connection, said, answers)) | talk.texts
        return Theirs(person, frozenset(said), frozenset(answers), texts, talk=talk)


def _texts(connection: Connection, feedback: Collection[str], answers: Collection[str]) -> Iterator[str]:
    for table, ids in ((tables.feedback, feedback), (tables.answers, answers)):
        for some in batches(sorted(ids), _BATCH):
            yield from connection.execute(select(table.c.text).where(table.c.id.in_(some))).scalars()


def erase_in(connection: Connection, theirs: Theirs) -> dict[str, int]:
    """Delete feedback, answers, conversations, what belongs to them, and kept replies; counts by table.

    Inside a transaction of the caller's.
    """
    t = tables
    counts = {
        "replies": _replies(connection, theirs.names),
        "shadows": erase(connection, t.shadows, "answer", theirs.answers),
        "audits": erase(connection, t.audits, "answer", theirs.answers),
        "feedback": erase(connection, t.feedback, "id", theirs.feedback),
        "answers": erase(connection, t.answers, "id", theirs.answers),
        **{name: n for name, n in erase_talk_in(connection, theirs.talk).items() if n},
    }
    for some in batches(sorted(theirs.feedback), _BATCH):
        connection.execute(update(t.answers).where(t.answers.c.because.in_(some)).values(because=None))
    return counts


def redact_in(connection: Connection, chain: Chain, theirs: Theirs) -> list[int]:
    """Take what names them out of history; gives the numbers of the entries whose salts were withdrawn.

    Inside a transaction of the caller's, which writes the event that names these numbers.
    """
    withdrawn: list[int] = []
    for kind, table in HISTORY.items():
        changed = dict(_redacted(connection, table, theirs))
        if changed:
            withdrawn += chain.withdraw_in(connection, kind, changed)
            for name, columns in changed.items():
                connection.execute(update(table).where(table.c.id == name).values(columns))
            chain.append_in(connection, kind, list(changed))
    return withdrawn


def compact(database: Database) -> None:
    """Let nothing that was deleted stay in the database's files; raises StoreBusy where somebody holds it up.

    SQLite's file is written anew and its log emptied; Postgres gives the space of deleted rows free.
    """
    with database_errors(database.where):
        if database.is_sqlite:
            with closing(database.engine.raw_connection()) as raw, closing(raw.cursor()) as cursor:
                cursor.execute("VACUUM")
                held_up, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if held_up:
                raise StoreBusy("the store's log is being read.", where=database.where, cure="Run it again.")
            return
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql(f"VACUUM FULL {', '.join(_ERASED)}")


def _replies(connection: Connection, names: frozenset[str]) -> int:
    """Delete kept replies that name an answer or a feedback of theirs."""
    t, count = tables.replies, 0
    rows = connection.execute(select(t.c.channel, t.c.key, t.c.body).where(t.c.body.is_not(None))).all()
    for channel, key, body in rows:
        if not names.isdisjoint(_NAME.findall(body)):
            count += connection.execute(delete(t).where(t.c.channel == channel, t.c.key == key)).rowcount
    return count


def _redacted(
    connection: Connection, table: Table, theirs: Theirs
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Records that name them, by id, with the columns as they are to be."""
    said = [column for column in table.columns if column.name not in ("id", "seq")]
    for row in connection.execute(select(table)).all():
        before = {column.name: row._mapping[column.name] for column in said}
        after = {name: _without(value, theirs) for name, value in before.items()}
        changed = {name: value for name, value in after.items() if value != before[name]}
        if changed:
            yield row.id, changed


def _without(value: Any, theirs: Theirs) -> Any:
    """A value without names and texts of theirs."""
    if isinstance(value, str):
        return _cut(value, theirs)
    if isinstance(value, Mapping):
        if value.keys() == _GROWN and any(str(value["word"]) in said.casefold() for said in theirs.texts):
            return {**value, "word": GONE}  # a turn's report names words that several questions hold
        return {_cut(key, theirs): _without(inner, theirs) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_without(inner, theirs) for inner in value]
    return value


def _cut(text: str, theirs: Theirs) -> str:
    names = theirs.names
    cut = _NAME.sub(lambda found: GONE if found.group() in names else found.group(), text)
    for said in theirs.texts:
        # A text of a word or two stands everywhere, and says nothing of anybody.
        if len(said) > len(GONE) and said in cut:
            cut = cut.replace(said, GONE)
    return cut
