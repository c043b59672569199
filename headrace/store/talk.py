"""Conversations and what is deleted with them: messages, tickets, checks, searches, deliveries, drafts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, or_, select

from headrace.store import tables
from headrace.store.table import batches

_BATCH = 500
_MOMENT = timedelta(minutes=1)
"""How much later than the last message an answer to it may have been stored."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Ids of conversations and of what belongs to them, and what customers said there."""

    conversations: frozenset[str] = frozenset()
    messages: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()

    def __or__(self, other: Talk) -> Talk:
        return Talk(
            self.conversations | other.conversations,
            self.messages | other.messages,
            self.answers | other.answers,
            self.texts | other.texts,
        )


def talk_of(connection: Connection, where: ColumnElement[bool]) -> Talk:
    """What belongs to the conversations of which a condition on their table is true."""
    found = Talk()
    for conversation in connection.execute(select(tables.conversations).where(where)).all():
        found |= _one(connection, conversation)
    return found


def erase_talk_in(connection: Connection, talk: Talk) -> dict[str, int]:
    """Delete all of it but its answers, inside a transaction of the caller's; counts by table."""
    t = tables
    drafts = set(_drafts(connection, talk.texts))
    return {
        "deliveries": erase(connection, t.deliveries, "id", talk.messages),
        "checks": erase(connection, t.checks, "message", talk.messages),
        "searches": erase(connection, t.searches, "id", talk.messages),
        "tickets": erase(connection, t.tickets, "conversation", talk.conversations),
        "messages": erase(connection, t.messages, "conversation", talk.conversations),
        "conversations": erase(connection, t.conversations, "id", talk.conversations),
        "passages": erase(connection, t.passages, "document", drafts),
        "documents": erase(connection, t.documents, "id", drafts),
    }


def erase(connection: Connection, table: Table, column: str, ids: Collection[str]) -> int:
    """Delete the rows whose column is one of the ids; how many those were."""
    return sum(
        connection.execute(delete(table).where(table.c[column].in_(some))).rowcount
        for some in batches(sorted(ids), _BATCH)
    )


def _one(connection: Connection, conversation: Row[tuple[object, ...]]) -> Talk:
    m, s = tables.messages.c, tables.searches.c
    said = connection.execute(select(tables.messages).where(m.conversation == conversation.id)).all()
    ids = {row.id for row in said}
    texts = {row.text for row in said if row.author == "customer" and row.text}
    mine = select(m.id).where(m.conversation == conversation.id)
    asked = set(connection.execute(select(s.text).where(s.id.in_(mine))).scalars())
    answers = {row.answer for row in said if row.answer}
    if said:
        end = max(row.at for row in said) + _MOMENT
        answers |= set(_answers(connection, conversation, texts | asked, end))
    return Talk(frozenset([conversation.id]), frozenset(ids), frozenset(answers), frozenset(texts | asked))


def _answers(
    connection: Connection, conversation: Row[tuple[object, ...]], texts: Collection[str], end: datetime
) -> Iterator[str]:
    """Answers to what was said, which name neither the conversation nor, mostly, the person."""
    a = tables.answers.c
    whose = or_(a.person.is_(None), a.person == conversation.person)
    span = (a.channel == conversation.channel, a.at >= conversation.at, a.at <= end, whose)
    for some in batches(sorted(texts), _BATCH):
        yield from connection.execute(select(a.id).where(a.text.in_(some), *span)).scalars()


def _drafts(connection: Connection, texts: Collection[str]) -> Iterator[str]:
    """Drafts of answers to what was said, whose titles are the words in one line: nobody has published them."""
    d = tables.documents.c
    for some in batches(sorted({" ".join(text.split()) for text in texts}), _BATCH):
        yield from connection.execute(select(d.id).where(d.state == "draft", d.title.in_(some))).scalars()
