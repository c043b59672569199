"""What all sides of the desk share: the project, its records, and what a message is to whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from headrace.apps.support.guarantee import Guarantee, Standing
from headrace.apps.support.hours import OpeningHours
from headrace.apps.support.notify import Notifier
from headrace.apps.support.policy import Policy, search_answer
from headrace.apps.support.ports import (
    Decides,
    Hours,
    Learn,
    Notify,
    Searches,
    See,
    Turn,
    Understand,
    Writes,
)
from headrace.apps.support.writing.writer import Writer
from headrace.data.mask import Masker
from headrace.errors import NotFound
from headrace.feedback.trust import Sight
from headrace.project import Project
from headrace.records import Answer, Conversation, Feedback, Message, Passage, Ticket
from headrace.serving.searcher import Searcher

_OPEN = ("waiting", "taken")
_NOTE = "_said"


class Counter:
    """The desk as both of its sides see it."""

    def __init__(
        self,
        project: Project,
        *,
        understand: Understand | None = None,
        search: Searches | None = None,
        guarantee: Decides | None = None,
        write: Writes | None = None,
        hours: Hours | None = None,
        notify: Notify | None = None,
        learn: Learn | None = None,
        see: See | None = None,
        turn: Turn | None = None,
    ) -> None:
        self.project, self._store = project, project.store
        lock = threading.Lock()
        self._turn: Turn = turn or (lambda: lock)
        self._salt = self._store.salts.persons(project.ids)
        self._search = search or Searcher(self._store, project.recipe)
        named = project.recipe.support.writer
        self._writer = write or (Writer(named) if named else None)
        self._hours = hours or OpeningHours(project.recipe.support.hours)
        self._notifier = Notifier(self._store, project.recipe, clock=project.clock)
        self._notify, self._learn, self._see = notify or self._notifier, learn, see or self._seen
        self.guarantee = guarantee or Guarantee(self._store, project.recipe, project.clock)
        self._policy = Policy(
            self._store,
            project.recipe,
            understand=understand or self._predicted,
            search=self._search,
            guarantee=self.guarantee,
            salt=self._salt,
            clock=project.clock,
        )

    def tasks(self, channel: str) -> list[str]:
        """The tasks whose scores decide in a channel: the intent's where it is asked there, and the search's."""
        support = self.project.recipe.support
        asked = self.project.recipe.channel(channel).tasks
        return [*([support.intent] if support.intent in asked else []), support.search_task]

    def standings(self, channel: str | None = None) -> dict[tuple[str, str], Standing]:
        """How the guarantee stands, by (task, channel)."""
        stands = Guarantee(self._store, self.project.recipe, self.project.clock)
        named = [channel] if channel else self.project.recipe.support.channels
        return {(task, name): stands.state(task, name) for name in named for task in self.tasks(name)}

    def end(self) -> None:
        """End what tells of tickets, once it has told what it was told."""
        self._notifier.close()

    def _predicted(self, text: str, task: str, channel: str) -> Answer:
        return self.project.predict([text], task=task, channel=channel)[0]

    def _seen(self, said: Feedback) -> Sight:
        return self.project.sight(said.task, said.channel, said.text, said.label or "")

    def _mask(self, channel: str, text: str) -> str:
        recipe = self.project.recipe
        return Masker(recipe.clean.mask, recipe.channel(channel).language).mask(text)[0]

    def _passages(self, ids: Sequence[str], channel: str) -> tuple[Passage, ...]:
        """Passages by id, in order, those that the channel may see."""
        known = self._store.documents.passages_by_id(ids)
        found = [known[name] for name in ids if name in known]
        return tuple(p for p in found if p.channel in (None, channel))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction; this process's threads take turns at it.

        Left to the database, those that wait would sleep and try again, and some would wait for long.
        """
        with self._turn(), self._store.transaction() as connection:
            yield connection

    def _said(self, conversation_id: str, text: str) -> Message:
        """Something that the machine says, in answer to nothing."""
        return Message(self.project.ids("msg"), conversation_id, "machine", text, self.project.clock())

    def _quiet(self, message: Message) -> Message:
        """The mark that a customer's message is a person's: the machine says nothing to it, now or later."""
        return Message(
            id=self.project.ids("msg"),
            conversation=message.conversation,
            author="machine",
            text="",
            at=self.project.clock(),
            reply_to=message.id,
            decision="person",
        )

    def proposal(self, message: Message) -> Message | None:
        """What the machine said, or would have said, to a customer's message."""
        later = self._store.conversations.messages(message.conversation, message.id)
        return next((m for m in later if m.author == "machine" and m.reply_to == message.id), None)

    def _open_ticket(self, conversation_id: str) -> Ticket | None:
        return next((t for t in self._store.tickets.of(conversation_id) if t.state in _OPEN), None)

    def _wait_in(
        self, connection: Connection, conversation: Conversation, message: str, reason: str
    ) -> Ticket | None:
        """Open a ticket, inside the caller's transaction; None where one is open already."""
        ticket = Ticket(
            id=self.project.ids("tkt"),
            conversation=conversation.id,
            channel=conversation.channel,
            message=message,
            reason=reason,
            at=self.project.clock(),
        )
        opened = self._store.tickets.open_in(connection, ticket)
        self._store.conversations.set_in(connection, conversation.id, state="waiting")
        return ticket if opened else None

    def _tell(self, ticket: Ticket | None, conversation: Conversation) -> None:
        if ticket is not None:
            self._notify(ticket, conversation)

    def _decided_by(self, proposal: Message) -> Answer | None:
        """The Answer whose score decided."""
        return None if proposal.answer is None else self._store.answers.get(proposal.answer)

    def _found_by(self, proposal: Message) -> Answer | None:
        """The Answer of the search for the same message."""
        try:
            return self._store.answers.get(search_answer(proposal.reply_to or ""))
        except NotFound:
            return None


def note_of(proposal_id: str) -> str:
    """The id of what was said to the customer in the place of a proposal that was held back."""
    return f"{proposal_id}{_NOTE}"


def proposal_of(message_id: str) -> str:
    """The id of the proposal that a message stands for: its own, but for notes."""
    return message_id.removesuffix(_NOTE)


def visible(message: Message) -> bool:
    """Whether the customer sees a message: proposals that were held back are for persons alone."""
    return message.author != "machine" or message.decision in (None, "alone")
