"""The desk, as persons meet it: a queue, the whole conversation, an answer that counts as the owner's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from headrace.apps.support.base import proposal_of
from headrace.apps.support.judging import Judging
from headrace.apps.support.outcomes import Suggestion, Waiting
from headrace.apps.support.replies import language_of
from headrace.apps.support.why import Why, why
from headrace.errors import Conflict, InputError
from headrace.feedback.record import known_label
from headrace.records import Check, Document, Message, Passage, Ticket


@dataclass(frozen=True, slots=True)
class _Word:
    """What an agent's answer says of the machine's: the label meant, where one is, and whether it was right.

    `named` is an intent that the agent named: it stands against what was said before, as a check does.
    """

    proposal: Message
    label: str | None = None
    right: bool = False
    named: bool = False


class HandOver(Judging):
    """Tickets and checks: what the machine left to persons, and what they say of its answers."""

    # -- persons

    def queue(self, channel: str | None = None) -> list[Waiting]:
        """What waits for a person or is with one, oldest first; at most 200 of either."""
        listed = self._store.tickets.list
        tickets = [*listed(state="waiting", channel=channel), *listed(state="taken", channel=channel)]
        return [
            self.waiting(ticket.id) for ticket in sorted(tickets, key=lambda ticket: (ticket.at, ticket.id))
        ]

    def open_count(self, channel: str | None = None) -> int:
        """How many there are in all; `queue` gives the first of them."""
        return self._store.tickets.open_count(channel)

    def waiting(self, ticket_id: str) -> Waiting:
        """One ticket with its conversation, what the machine would have said and what else may answer."""
        ticket = self._store.tickets.get(ticket_id)
        conversation = self._store.conversations.get(ticket.conversation)
        said = tuple(self._store.conversations.messages(ticket.conversation))
        question = next((m for m in said if m.id == ticket.message), None)
        draft = next((m for m in said if m.author == "machine" and m.reply_to == ticket.message), None)
        answer = self._decided_by(draft) if draft else None
        intent = answer.label if answer and answer.task == self.project.recipe.support.intent else None
        found = self._suggestions(question, ticket.channel) if question else ()
        return Waiting(ticket, conversation, said, question, draft, found, intent)

    def take(self, ticket_id: str, agent: str) -> Ticket:
        """Take a ticket; raises Conflict where somebody else has it."""
        ticket = self._store.tickets.get(ticket_id)
        if ticket.state == "taken" and ticket.agent == agent:
            return ticket
        with self._writing() as connection:
            self._store.tickets.move_in(
                connection, ticket_id, "taken", self.project.clock(), agent=agent, expected=("waiting",)
            )
        return self._store.tickets.get(ticket_id)

    def answer(
        self,
        ticket_id: str,
        agent: str,
        text: str = "",
        *,
        passage: str | None = None,
        intent: str | None = None,
        draft: bool = False,
        seen: str | None = None,
    ) -> Message:
        """Answer a customer; on disk, and on its way to them, when this returns.

        `passage` names the passage that answers, whose text is sent where none is written; `intent` is the label
        that was meant. Both are the owner's word and count at once. With `draft` the text becomes a draft
        document first. A drawn answer of the machine's that is neither picked nor checked counts as wrong.
        `seen` is the customer's last message that the agent has read, by default the last there is. Raises
        Conflict where another was faster or the customer wrote after `seen`, InputError where nothing is said.
        """
        ticket = self._store.tickets.get(ticket_id)
        said = self._store.conversations.messages(ticket.conversation)
        picked = self._picked(passage, ticket.channel)
        if not text.strip() and picked is None:
            raise InputError("the answer is empty.", field="text", cure="Write one or pick a passage.")
        word = self._word(ticket, said, intent, picked)
        if draft:
            self._draft(ticket.channel, self._asked(ticket), text, intent)
        message = replace(
            self._said(ticket.conversation, text.strip() or (picked.text if picked else "")),
            author="agent",
            by=agent,
            reply_to=ticket.message or None,
            sources=(picked.id,) if picked else (),
        )
        with self._writing() as connection:
            self._store.tickets.move_in(connection, ticket_id, "answered", message.at, agent=agent)
            self._store.tickets.seen_in(
                connection, ticket.conversation, _last(said) if seen is None else seen
            )
            self._store.conversations.set_in(connection, ticket.conversation, state="open")
            self._store.conversations.say_in(connection, message)
            self._settle_in(connection, word, agent)
        if word is not None and word.label is not None:
            self._told(word.proposal, word.label, agent)
        return message

    def curated(self, channel: str, intent: str, question: Message) -> Passage | None:
        """The owner's answer to an intent in a channel, in the language of a question."""
        return self._policy.curated.answer(channel, intent, language_of(question.text))

    def close(self, ticket_id: str, agent: str, *, seen: str | None = None) -> Ticket:
        """Close a ticket and its conversation; a message of the customer's opens it again.

        `seen`, what is drawn, and Conflict are as in `answer`.
        """
        ticket = self._store.tickets.get(ticket_id)
        said = self._store.conversations.messages(ticket.conversation)
        word = self._word(ticket, said, None, None)
        with self._writing() as connection:
            self._store.tickets.move_in(
                connection,
                ticket_id,
                "closed",
                self.project.clock(),
                agent=agent,
                expected=("waiting", "taken", "answered"),
            )
            self._store.tickets.seen_in(
                connection, ticket.conversation, _last(said) if seen is None else seen
            )
            self._settle_in(connection, word, agent)
            self._store.conversations.set_in(connection, ticket.conversation, state="closed")
        return self._store.tickets.get(ticket_id)

    def flag(self, passage: str, reason: str, *, channel: str) -> Document:
        """Say what is wrong with the article that a passage of the channel's is of; the owner sees it."""
        picked = self._picked(passage, channel)
        if picked is None:
            raise InputError("no passage is named.", field="passage")
        self.project.flag_document(picked.document, reason)
        return self._store.documents.get(picked.document)

    def explain(self, message_id: str) -> Why:
        """Why the machine says, or would say, this; raises NotFound, and Conflict where it has no answer."""
        message = self._store.conversations.message(proposal_of(message_id))
        answer = self._decided_by(message)
        if answer is None:
            raise Conflict("there is no answer in this message.", where=message_id)
        return why(self._store, self.project.recipe, answer, self._see, self._search)

    # -- checks

    def to_check(self, channel: str | None = None, limit: int = 200) -> list[Message]:
        """Answers that were drawn, sent or held back, and that nobody has checked yet, oldest first."""
        return self._store.tickets.unchecked(channel, limit)

    def check(self, message_id: str, agent: str, right: bool, *, label: str | None = None) -> Check:
        """Say whether the machine's answer is right, or would have been; of several words the newest stands.

        `label`, of an answer that is wrong, is what would have been right: an intent or a passage, as the answer
        was one; it counts at once, as the owner's word. Raises Conflict where the message has no answer.
        """
        message = self._store.conversations.message(proposal_of(message_id))
        answer = self._decided_by(message)
        if answer is None or message.author != "machine":
            raise Conflict("there is no answer in this message to check.", where=message_id)
        check = Check(message.id, right, agent, self.project.clock())
        with self._writing() as connection:
            changed = self._store.tickets.recheck_in(connection, check)
        if changed if right else label is not None:
            self._told(message, answer.label if label is None else label, agent)
        return check

    def _suggestions(self, question: Message, channel: str) -> tuple[Suggestion, ...]:
        """What was found for the question then; searched now where nothing was, as for who asked a person."""
        found = self._store.searches.find(question.id)
        if found is None:
            seen = self._search.search(
                question.text, task=self.project.recipe.support.search, channel=channel
            )
            return tuple(Suggestion(one.passage, one.chance) for one in seen.found)
        chances = {name: float(str(chance)) for name, chance in found.shown.items()}
        return tuple(Suggestion(p, chances[p.id]) for p in self._passages(list(chances), channel))

    def _word(
        self, ticket: Ticket, said: Sequence[Message], intent: str | None, picked: Passage | None
    ) -> _Word | None:
        """What an agent's answer says of the machine's; None where there is none. InputError: no such intent."""
        proposal = next((m for m in said if m.author == "machine" and m.reply_to == ticket.message), None)
        answer = self._decided_by(proposal) if proposal else None
        if proposal is None or answer is None:
            return None
        by_intent = answer.task == self.project.recipe.support.intent
        if by_intent and intent is not None:
            intent = known_label(intent, self.project.labels(answer.task))
            return _Word(proposal, intent, intent == answer.label, named=True)
        if picked is None:
            return _Word(proposal)
        meant = by_intent and picked.intent is not None
        right = picked.id in proposal.sources or (meant and picked.intent == answer.label)
        taught = meant or self._found_by(proposal) is not None
        return _Word(proposal, picked.id if taught else None, right)

    def _settle_in(self, connection: Connection, word: _Word | None, agent: str) -> None:
        """Check what was drawn, so that it never depends on the answer whether it is checked."""
        if word is None or not word.proposal.drawn:
            return
        store = self._store.tickets
        check = Check(word.proposal.id, word.right, agent, self.project.clock())
        (store.recheck_in if word.named else store.check_in)(connection, check)

    def _asked(self, ticket: Ticket) -> str:
        said = self._store.conversations.messages(ticket.conversation)
        return next((m.text for m in said if m.id == ticket.message), "")

    def _picked(self, passage: str | None, channel: str) -> Passage | None:
        if passage is None:
            return None
        found = self._passages([passage], channel)
        if not found:
            raise InputError(
                "the channel has no such passage.", field="passage", cure="Pick one that was found."
            )
        return found[0]


def _last(said: Sequence[Message]) -> str:
    """The id of the customer's last message; "" where there is none."""
    return next((m.id for m in reversed(said) if m.author == "customer"), "")
