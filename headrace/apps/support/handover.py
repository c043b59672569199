"""The desk, as persons meet it: a queue, the whole conversation, an answer that counts as the owner's word."""

from __future__ import annotations

from dataclasses import replace

from headrace.apps.support.base import proposal_of
from headrace.apps.support.judging import Judging
from headrace.apps.support.replies import language_of
from headrace.apps.support.said import Suggestion, Waiting
from headrace.apps.support.why import Why, why
from headrace.errors import Conflict, InputError
from headrace.records import Check, Document, Message, Passage, Ticket


class HandOver(Judging):
    """Tickets and checks: what the machine left to persons, and what they say of its answers."""

    # -- persons

    def queue(self, channel: str | None = None) -> list[Waiting]:
        """What waits for a person or is with one, oldest first."""
        listed = self._store.tickets.list
        tickets = [*listed(state="waiting", channel=channel), *listed(state="taken", channel=channel)]
        return [
            self.waiting(ticket.id) for ticket in sorted(tickets, key=lambda ticket: (ticket.at, ticket.id))
        ]

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
    ) -> Message:
        """Answer a customer; on disk, and on its way to them, when this returns.

        `passage` names the passage that answers, whose text is sent where none is written; `intent` is the label
        that was meant. Both are the owner's word and count at once. With `draft` the text becomes a draft
        document first. Raises Conflict where another was faster, InputError where nothing is said.
        """
        ticket = self._store.tickets.get(ticket_id)
        picked = self._picked(passage, ticket.channel)
        if not text.strip() and picked is None:
            raise InputError("the answer is empty.", field="text", cure="Write one or pick a passage.")
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
            self._store.conversations.set_in(connection, ticket.conversation, state="open")
            self._store.conversations.say_in(connection, message)
        self._taught(ticket, agent, intent or passage)
        return message

    def curated(self, channel: str, intent: str, question: Message) -> Passage | None:
        """The owner's answer to an intent in a channel, in the language of a question."""
        return self._policy.curated.answer(channel, intent, language_of(question.text))

    def close(self, ticket_id: str, agent: str) -> Ticket:
        """Close a ticket and its conversation; a message of the customer's opens it again."""
        ticket = self._store.tickets.get(ticket_id)
        with self._writing() as connection:
            self._store.tickets.move_in(
                connection,
                ticket_id,
                "closed",
                self.project.clock(),
                agent=agent,
                expected=("waiting", "taken", "answered"),
            )
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
        """Say whether the machine's answer is right, or would have been; the same again changes nothing.

        `label`, of an answer that is wrong, is what would have been right: an intent or a passage, as the answer
        was one; it counts at once, as the owner's word. Raises Conflict where the message has no answer.
        """
        message = self._store.conversations.message(proposal_of(message_id))
        answer = self._decided_by(message)
        if answer is None or message.author != "machine":
            raise Conflict("there is no answer in this message to check.", where=message_id)
        check = Check(message.id, right, agent, self.project.clock())
        with self._writing() as connection:
            first = self._store.tickets.check_in(connection, check)
        if first and (right or label is not None):
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

    def _taught(self, ticket: Ticket, agent: str, label: str | None) -> None:
        """An agent's word on the machine's proposal: feedback of the owner's, and a check where it was drawn."""
        said = self._store.conversations.messages(ticket.conversation)
        proposal = next((m for m in said if m.author == "machine" and m.reply_to == ticket.message), None)
        if proposal is None or proposal.answer is None or label is None:
            return
        answer, meant, _ = self._meant(proposal, label, ticket.channel)
        if proposal.drawn and answer.id == proposal.answer:
            right = meant == answer.label
            self.check(proposal.id, agent, right, label=None if right else label)
        else:
            self._told(proposal, label, agent)
