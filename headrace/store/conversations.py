"""Conversations and their messages; what the machine was not sure of waits in tickets."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, or_, select, update

from headrace.errors import Conflict, NotFound
from headrace.records import Check, Conversation, ConversationState, Message, Ticket, TicketState
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import adding, one_at_a_time, record, values


@dataclass(frozen=True, slots=True)
class Checked:
    """A machine's answer that was drawn and checked, in the order of the checks; `adapter` gave it."""

    message: Message
    right: bool
    at: datetime
    adapter: str | None = None


class Conversations:
    """Conversations and messages. A message is durable on return."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_in(self, connection: Connection, conversation: Conversation) -> bool:
        """Store a new conversation, inside a transaction of the caller's; False where its id is there already."""
        made = adding(tables.conversations, self._database.engine.dialect.name)
        return bool(connection.execute(made, [values(conversation)]).rowcount)

    def get(self, conversation_id: str, *, channel: str | None = None) -> Conversation:
        """One conversation; that of another channel is not found, in the same words as an id nobody has."""
        t = tables.conversations
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.id == conversation_id)).first()
        if found is None or (channel is not None and found.channel != channel):
            raise NotFound("there is no such conversation.", where="conversation", cure="Begin a new one.")
        return record(Conversation, found)

    def list(
        self,
        *,
        channel: str | None = None,
        state: ConversationState | None = None,
        person: str | None = None,
        limit: int = 100,
    ) -> builtins.list[Conversation]:
        """Conversations, newest first."""
        t = tables.conversations
        query = select(t).order_by(t.c.seq.desc()).limit(limit)
        for column, wanted in ((t.c.channel, channel), (t.c.state, state), (t.c.person, person)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            return [record(Conversation, row) for row in connection.execute(query)]

    def set_in(
        self,
        connection: Connection,
        conversation_id: str,
        *,
        state: ConversationState | None = None,
        contact: str | None = None,
    ) -> None:
        """Change a conversation's state or the customer's way to be reached, where given."""
        found = {"state": state, "contact": contact}
        columns = {name: value for name, value in found.items() if value is not None}
        t = tables.conversations
        if columns:
            connection.execute(update(t).where(t.c.id == conversation_id).values(columns))

    def say_in(self, connection: Connection, message: Message) -> bool:
        """Store a message; False, and nothing stored, where its id is there or the machine replied already.

        Inside a transaction of the caller's.
        """
        one_at_a_time(connection)
        t = tables.messages
        if message.author == "machine" and message.reply_to is not None:
            twin = select(t.c.id).where(t.c.reply_to == message.reply_to, t.c.author == "machine")
            if connection.execute(twin).first() is not None:
                return False
        made = adding(t, self._database.engine.dialect.name)
        return bool(connection.execute(made, [values(message)]).rowcount)

    def say(self, message: Message) -> bool:
        """Like `say_in`, in a transaction of its own."""
        with self._database.write() as connection:
            return self.say_in(connection, message)

    def messages(self, conversation_id: str, after: str | None = None) -> builtins.list[Message]:
        """What was said, in order; with `after` what came after the message of that id."""
        t = tables.messages
        query = select(t).where(t.c.conversation == conversation_id).order_by(t.c.seq)
        if after is not None:
            last = select(t.c.seq).where(t.c.id == after).scalar_subquery()
            query = query.where(t.c.seq > func.coalesce(last, 0))
        with self._database.read() as connection:
            return [record(Message, row) for row in connection.execute(query)]

    def spoken_after(self, number: int | None) -> tuple[int, builtins.list[str] | None]:
        """The number of the last message, and the conversations in which something was said after `number`.

        With None no conversation is named: it is where a listener begins.
        """
        t = tables.messages
        with self._database.read() as connection:
            last = connection.execute(select(func.coalesce(func.max(t.c.seq), 0))).scalar_one()
            if number is None or last == number:
                return int(last), None if number is None else []
            spoken = select(t.c.conversation).where(t.c.seq > number).distinct()
            return int(last), list(connection.execute(spoken).scalars())

    def message(self, message_id: str) -> Message:
        """One message; raises NotFound."""
        t = tables.messages
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.id == message_id)).first()
        if found is None:
            raise NotFound("there is no such message.", where="message")
        return record(Message, found)

    def unanswered(self, limit: int = 1000, after: str | None = None) -> builtins.list[Message]:
        """Messages of customers that nobody replied to and no ticket holds, oldest first: a crash left them.

        With `after` those that came after the message of that id.
        """
        m, t = tables.messages, tables.tickets
        reply = m.alias()
        query = (
            select(m)
            .where(m.c.author == "customer")
            .where(~exists(select(reply.c.id).where(reply.c.reply_to == m.c.id)))
            .where(~exists(select(t.c.id).where(t.c.message == m.c.id)))
            .order_by(m.c.seq)
            .limit(limit)
        )
        if after is not None:
            query = query.where(m.c.seq > select(reply.c.seq).where(reply.c.id == after).scalar_subquery())
        with self._database.read() as connection:
            return [record(Message, row) for row in connection.execute(query)]

    def unsettled(self, channel: str | None = None, limit: int = 1000) -> builtins.list[Message]:
        """Messages of customers that the machine did not answer itself, newest first."""
        m, c, t = tables.messages, tables.conversations, tables.tickets
        reply = m.alias()
        unsure = select(reply.c.id).where(reply.c.reply_to == m.c.id, reply.c.decision.in_(("ask", "person")))
        query = (
            select(m)
            .join(c, c.c.id == m.c.conversation)
            .where(m.c.author == "customer")
            .where(or_(exists(unsure), exists(select(t.c.id).where(t.c.message == m.c.id))))
            .order_by(m.c.seq.desc())
            .limit(limit)
        )
        query = query if channel is None else query.where(c.c.channel == channel)
        with self._database.read() as connection:
            return [record(Message, row) for row in connection.execute(query)]

    def counts(self) -> dict[tuple[str, str], int]:
        """Machine's replies by (channel, decision)."""
        m, c = tables.messages, tables.conversations
        query = (
            select(c.c.channel, m.c.decision, func.count())
            .join(c, c.c.id == m.c.conversation)
            .where(m.c.decision.is_not(None))
            .group_by(c.c.channel, m.c.decision)
        )
        with self._database.read() as connection:
            return {(channel, decision): n for channel, decision, n in connection.execute(query)}


class Tickets:
    """Conversations that wait for a person, and what persons said of the machine's answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_in(self, connection: Connection, ticket: Ticket) -> bool:
        """Store a ticket; False where one of its conversation is open already."""
        if self.waits_in(connection, ticket.conversation):
            return False
        connection.execute(tables.tickets.insert(), [values(ticket)])
        return True

    def waits_in(self, connection: Connection, conversation_id: str) -> bool:
        """Whether a ticket of the conversation is open, and stays so until the caller's transaction ends."""
        one_at_a_time(connection)
        t = tables.tickets
        twin = select(t.c.id).where(t.c.conversation == conversation_id, t.c.state.in_(("waiting", "taken")))
        return connection.execute(twin).first() is not None

    def get(self, ticket_id: str) -> Ticket:
        """One ticket; raises NotFound."""
        t = tables.tickets
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.id == ticket_id)).first()
        if found is None:
            raise NotFound(f"there is no ticket {ticket_id!r}.", cure="List them: headrace support tickets")
        return record(Ticket, found)

    def list(
        self, *, state: TicketState | None = None, channel: str | None = None, limit: int = 200
    ) -> builtins.list[Ticket]:
        """Tickets, oldest first."""
        t = tables.tickets
        query = select(t).order_by(t.c.seq).limit(limit)
        for column, wanted in ((t.c.state, state), (t.c.channel, channel)):
            query = query if wanted is None else query.where(column == wanted)
        with self._database.read() as connection:
            return [record(Ticket, row) for row in connection.execute(query)]

    def open_count(self, channel: str | None = None) -> int:
        """How many tickets wait for a person or are with one."""
        t = tables.tickets
        query = select(func.count()).select_from(t).where(t.c.state.in_(("waiting", "taken")))
        query = query if channel is None else query.where(t.c.channel == channel)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def of(self, conversation_id: str) -> builtins.list[Ticket]:
        """The tickets of a conversation, oldest first."""
        t = tables.tickets
        query = select(t).where(t.c.conversation == conversation_id).order_by(t.c.seq)
        with self._database.read() as connection:
            return [record(Ticket, row) for row in connection.execute(query)]

    def move_in(
        self,
        connection: Connection,
        ticket_id: str,
        state: TicketState,
        at: datetime,
        *,
        agent: str | None = None,
        expected: Sequence[TicketState] = ("waiting", "taken"),
    ) -> None:
        """Move a ticket on, by an agent where named; raises Conflict where another was faster."""
        t = tables.tickets
        moved = update(t).where(t.c.id == ticket_id, t.c.state.in_(expected))
        columns: dict[str, object] = {"state": state, "changed": at}
        if agent is not None:
            columns["agent"] = agent
        if not connection.execute(moved.values(columns)).rowcount:
            raise Conflict("somebody else was faster with this ticket.", cure="Load the queue again.")

    def seen_in(self, connection: Connection, conversation_id: str, seen: str) -> None:
        """Raise Conflict where the customer wrote after the message `seen`; "" is before the first."""
        one_at_a_time(connection)
        t = tables.messages
        last = select(t.c.seq).where(t.c.id == seen, t.c.conversation == conversation_id).scalar_subquery()
        later = select(t.c.text).where(
            t.c.conversation == conversation_id, t.c.author == "customer", t.c.seq > func.coalesce(last, 0)
        )
        text = connection.execute(later.order_by(t.c.seq.desc()).limit(1)).scalar()
        if text is not None:
            raise Conflict(
                f"the customer wrote again: {text[:200]!r}. Nothing was sent.",
                where=conversation_id,
                cure="Read the conversation, then answer or close it again.",
            )

    def check_in(self, connection: Connection, check: Check) -> bool:
        """Store whether an answer was right; False where that was said before."""
        made = adding(tables.checks, self._database.engine.dialect.name)
        return bool(connection.execute(made, [values(check)]).rowcount)

    def recheck_in(self, connection: Connection, check: Check) -> bool:
        """Like `check_in`, but the newest word stands; False where the word before was the same.

        A word that changes comes last in the order of the checks.
        """
        one_at_a_time(connection)
        t = tables.checks
        before = connection.execute(select(t.c.right).where(t.c.message == check.message)).scalar()
        if before is not None and bool(before) == check.right:
            return False
        connection.execute(delete(t).where(t.c.message == check.message))
        return self.check_in(connection, check)

    def checked(self, task: str, channel: str, limit: int) -> builtins.list[Checked]:
        """The latest `limit` answers of (task, channel) that were drawn and checked, oldest first."""
        m, c, k, a = tables.messages, tables.conversations, tables.checks, tables.answers
        query = (
            select(
                m, k.c.right.label("was_right"), k.c.at.label("checked_at"), a.c.adapter.label("by_adapter")
            )
            .join(k, k.c.message == m.c.id)
            .join(c, c.c.id == m.c.conversation)
            .outerjoin(a, a.c.id == m.c.answer)
            .where(m.c.task == task, c.c.channel == channel, m.c.drawn, m.c.score.is_not(None))
            .order_by(k.c.seq.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            found = connection.execute(query).all()
        return [
            Checked(record(Message, row), row.was_right, row.checked_at, row.by_adapter)
            for row in reversed(found)
        ]

    def checks_version(self) -> tuple[int, int]:
        """The number of the last check, and how many there are: changes with all that is said or deleted."""
        seq = tables.checks.c.seq
        with self._database.read() as connection:
            last, count = connection.execute(select(func.coalesce(func.max(seq), 0), func.count(seq))).one()
        return int(last), int(count)

    def check_counts(self, task: str, channel: str) -> tuple[int, int]:
        """How many answers of (task, channel) were drawn and checked, and how many drawn ones wait for it."""
        m, c, k = tables.messages, tables.conversations, tables.checks
        query = (
            select(func.count(k.c.seq), func.count())
            .select_from(m)
            .join(c, c.c.id == m.c.conversation)
            .outerjoin(k, k.c.message == m.c.id)
            .where(m.c.task == task, c.c.channel == channel, m.c.drawn, m.c.score.is_not(None))
        )
        with self._database.read() as connection:
            checked, drawn = connection.execute(query).one()
        return int(checked), int(drawn) - int(checked)

    def unchecked(self, channel: str | None = None, limit: int = 200) -> builtins.list[Message]:
        """Answers that were drawn and that nobody has checked yet, oldest first."""
        m, c, k = tables.messages, tables.conversations, tables.checks
        query = (
            select(m)
            .join(c, c.c.id == m.c.conversation)
            .where(m.c.drawn, m.c.author == "machine", ~exists(select(k.c.seq).where(k.c.message == m.c.id)))
            .order_by(m.c.seq)
            .limit(limit)
        )
        query = query if channel is None else query.where(c.c.channel == channel)
        with self._database.read() as connection:
            return [record(Message, row) for row in connection.execute(query)]
