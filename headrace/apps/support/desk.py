"""The desk, as customers meet it: begin, say, be answered, judge.

A message is on disk when `receive` returns. To each, the machine makes one proposal ever: the store refuses a
second, and whoever comes second reads the first. The proposal holds what decided (task, score, the coin) and is
sent where its decision is `alone`; else it is held back for persons to check, and a note is said in its place:
it asks back or hands over. Proposal, note, ticket and the conversation's state are one transaction.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from headrace.apps.support.base import note_of, visible
from headrace.apps.support.handover import HandOver
from headrace.apps.support.outcomes import Begun, Choice, Reply
from headrace.apps.support.policy import Weighed
from headrace.apps.support.ports import Unwritten
from headrace.apps.support.replies import Said, closed, say, spoken
from headrace.errors import Conflict, HeadraceError, InputError, NotFound
from headrace.feedback.record import pseudonym
from headrace.records import Author, Conversation, Message, Passage, Search, Ticket, content_id
from headrace.serving.answerer import wrong_with

LONGEST = 4_000
"""Characters of a message."""

_LOG = logging.getLogger(__name__)
_NOTES: dict[str, Said] = {"asked": "asked", "angry": "angry", "unknown": "unknown"}


class Desk(HandOver):
    """Answers the customers of a project's channels, and hands over to persons.

    What is not given is the project's: `understand` its `predict`, `search` its passages, `guarantee` its checks.
    Safe from several threads, and beside other processes on the same store.
    """

    # -- customers

    def begin(
        self, channel: str, *, language: str = "", person: str | None = None, name: str | None = None
    ) -> Begun:
        """Begin a conversation, greeted; `person` is an id of the customer's, of which a pseudonym is stored.

        The same `name` again, an id of the sender's, begins nothing and gives the first with its secret.
        Raises NotFound where the channel is none, or its customers are not answered.
        """
        found = self.project.recipe.channel(channel)
        self._serves(channel)
        new = self.project.ids("cnv") if name is None else content_id("cnv", channel, name)
        secret = secrets.token_urlsafe(32) if name is None else self._secret(new)
        conversation = Conversation(
            id=new,
            channel=channel,
            language=language or found.language,
            digest=_digest(secret),
            at=self.project.clock(),
            person=None if person is None else pseudonym(person, self._salt),
        )
        greeting = replace(
            self._said(new, say("greeting", spoken(conversation.language))),
            id=content_id("msg", new, "hello"),
        )
        with self._writing() as connection:
            first = self._store.conversations.begin_in(connection, conversation)
            self._store.conversations.say_in(connection, greeting)
        if first:
            return Begun(conversation, secret, greeting)
        known = self._store.conversations
        return Begun(known.get(new), secret, known.message(greeting.id))

    def quote(self, conversation_id: str, turns: Sequence[tuple[Author, str]]) -> None:
        """Store what was said elsewhere before, turn by turn, as context that nobody answers."""
        channel, before = self._store.conversations.get(conversation_id).channel, ""
        with self._writing() as connection:
            for author, text in turns:
                said = self._said(conversation_id, self._mask(channel, text[-LONGEST:]))
                quoted = replace(
                    said, author=author, reply_to=None if author == "customer" else before or None
                )
                self._store.conversations.say_in(connection, quoted)
                before = quoted.id if author == "customer" else ""

    def open(self, conversation_id: str, secret: str, *, channel: str) -> Conversation:
        """The conversation that the secret opens; raises NotFound, in the same words for all that is wrong."""
        found = self._store.conversations.get(conversation_id, channel=channel)
        if not hmac.compare_digest(found.digest, _digest(secret)):
            raise NotFound("there is no such conversation.", where="conversation", cure="Begin a new one.")
        return found

    def receive(self, conversation_id: str, text: str, *, message_id: str | None = None) -> Message:
        """Store what a customer says, private details masked; it is on disk when this returns.

        The same `message_id` again, an id of the sender's, adds nothing and gives the first. Raises InputError
        (field `text`), NotFound.
        """
        conversation = self._store.conversations.get(conversation_id)
        _check(text)
        message = Message(
            id=self.project.ids("msg")
            if message_id is None
            else content_id("msg", conversation_id, message_id),
            conversation=conversation_id,
            author="customer",
            text=self._mask(conversation.channel, text),
            at=self.project.clock(),
        )
        with self._writing() as connection:
            first = self._store.conversations.say_in(connection, message)
            if first and conversation.state == "closed":
                self._store.conversations.set_in(connection, conversation_id, state="open")
        return message if first else self._store.conversations.message(message.id)

    def reply(self, message: Message) -> Reply:
        """The machine's reply to a customer's message, made now or before; at most one is ever made."""
        *_, last = self.stream(message)
        if isinstance(last, str):
            raise Conflict("the reply broke off.", where=message.id, cure="Ask again.")
        return last

    def stream(self, message: Message) -> Iterator[str | Reply]:
        """Like `reply`; first come the sentences of a writer, where they are sent, and the reply comes last."""
        known = self._replied(message)
        if known is not None:
            yield known
            return
        conversation = self._store.conversations.get(message.conversation)
        if self._open_ticket(conversation.id) is not None and self._stay_quiet(message):
            yield self._replied(message) or Reply(None)
            return
        history = self._before(message)
        weighed = self._policy.weigh(message, conversation, history)
        weighed = yield from self._written(weighed, history, conversation.channel)
        yield self._keep(message, conversation, weighed)

    def person_please(self, conversation_id: str, *, contact: str | None = None) -> Ticket:
        """Ask for a person; the ticket that waits, which is the open one where there is one.

        `contact` is where the customer wants a late answer.
        """
        conversation = self._store.conversations.get(conversation_id)
        said = self._store.conversations.messages(conversation_id)
        last = next((m for m in reversed(said) if m.author == "customer"), None)
        note = self._said(conversation_id, self._note(conversation.language, "asked"))
        with self._writing() as connection:
            self._store.conversations.set_in(connection, conversation_id, contact=contact)
            ticket = self._wait_in(connection, conversation, last.id if last else "", "asked")
            if ticket is not None:
                self._store.conversations.say_in(connection, note)
        self._tell(ticket, conversation)
        found = ticket or self._open_ticket(conversation_id)
        if found is None:
            raise Conflict("the ticket was closed meanwhile.", cure="Ask again.")
        return found

    def since(self, conversation_id: str, after: str | None = None) -> list[Message]:
        """What the customer sees of a conversation, in order; with `after` what came after that message."""
        return [m for m in self._store.conversations.messages(conversation_id, after) if visible(m)]

    def resume(self) -> int:
        """Answer what a crash left unanswered, in all conversations; how many messages that were.

        What the machine cannot answer, as where the recipe names the channel no more, is a person's.
        """
        count, last = 0, None
        while left := self._store.conversations.unanswered(after=last):
            for message in left:
                try:
                    self.reply(message)
                except HeadraceError as error:
                    _LOG.warning("message %s is left to a person: %s", message.id, error.message)
                    self._leave(message)
            count, last = count + len(left), left[-1].id
        return count

    def _leave(self, message: Message) -> None:
        """Leave a message to a person, without a word of the machine's."""
        conversation = self._store.conversations.get(message.conversation)
        with self._writing() as connection:
            self._store.conversations.say_in(connection, self._quiet(message))
            ticket = self._wait_in(connection, conversation, message.id, "unknown")
        self._tell(ticket, conversation)

    def _secret(self, conversation_id: str) -> str:
        """The secret of a conversation that its sender named: always the same, and nobody else's to know."""
        salt = self._store.salts.get("conversations", secrets.token_urlsafe(32))
        digest = hmac.new(salt.encode(), conversation_id.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    # -- how a reply comes about

    def _serves(self, channel: str) -> None:
        served = self.project.recipe.support.channels
        if channel not in served:
            cure = "Name the channel in headrace.yaml, under support: channels."
            raise NotFound(f"the customers of channel {channel!r} are not answered.", cure=cure)

    def _before(self, message: Message) -> list[Message]:
        said = self._store.conversations.messages(message.conversation)
        return said[: next((n for n, m in enumerate(said) if m.id == message.id), len(said))]

    def _replied(self, message: Message) -> Reply | None:
        """The reply that was made before, as the store holds it."""
        proposal = self.proposal(message)
        if proposal is None:
            return None
        channel = self._store.conversations.get(message.conversation).channel
        if proposal.decision == "alone":
            return Reply(proposal, self._passages(proposal.sources, channel), decision="alone")
        note = self._note_to(proposal)
        asked = self._passages(note.sources, channel) if note else ()
        tickets = [t for t in self._store.tickets.of(message.conversation) if t.message == message.id]
        return Reply(
            note,
            choices=self._choices(proposal, asked),
            ticket=tickets[-1] if tickets else None,
            decision=proposal.decision or "person",
        )

    def _note_to(self, proposal: Message) -> Message | None:
        later = self._store.conversations.messages(proposal.conversation, proposal.id)
        return next((m for m in later if m.id == note_of(proposal.id)), None)

    def _choices(self, proposal: Message, asked: tuple[Passage, ...]) -> tuple[Choice, ...]:
        by_intent = proposal.task is not None and proposal.task == self.project.recipe.support.intent
        return tuple(Choice(p.intent if by_intent and p.intent else p.id, p.title) for p in asked)

    def _stay_quiet(self, message: Message) -> bool:
        """A person is in the conversation: the message is theirs. False where they answered meanwhile."""
        with self._writing() as connection:
            waits = self._store.tickets.waits_in(connection, message.conversation)
            if waits:
                self._store.conversations.say_in(connection, self._quiet(message))
        return waits

    def _written(
        self, weighed: Weighed, history: list[Message], channel: str
    ) -> Generator[str, None, Weighed]:
        """Let the writer answer where there is one and its answer is sent or checked; the owner's own stays."""
        sent = weighed.decision == "alone"
        if self._writer is None or weighed.curated or not weighed.passages or not (sent or weighed.drawn):
            return weighed
        said: list[str] = []
        sources: dict[str, None] = {}
        turns = [m.text for m in history if m.author == "customer"]
        try:
            for sentence in self._writer.write(
                weighed.asked, weighed.passages, weighed.language, turns, channel=channel
            ):
                sources |= dict.fromkeys(sentence.sources)
                marks = "".join(f" [{list(sources).index(name) + 1}]" for name in sentence.sources)
                said.append(f"{sentence.text}{marks}")
                if sent:
                    yield said[-1]
        except Unwritten:
            return _unknown(weighed)
        return replace(weighed, text=" ".join(said), sources=tuple(sources)) if said else _unknown(weighed)

    def _keep(self, message: Message, conversation: Conversation, weighed: Weighed) -> Reply:
        """Store proposal, note and ticket together; where somebody was faster, give what they stored."""
        proposal = replace(
            self._quiet(message),
            text=weighed.text,
            sources=weighed.sources,
            answer=weighed.answer,
            task=weighed.task,
            score=weighed.score,
            decision=weighed.decision,
            drawn=weighed.drawn,
        )
        note, ticket = self._in_its_place(proposal, weighed), None
        with self._writing() as connection:
            first = self._store.conversations.say_in(connection, proposal)
            if first:
                self._store.answers.add_in(connection, weighed.answers)
                self._store.searches.add_in(connection, self._search_of(message, conversation, weighed))
                if note is not None:
                    self._store.conversations.say_in(connection, note)
                if weighed.decision == "person":
                    ticket = self._wait_in(connection, conversation, message.id, weighed.reason)
        self._tell(ticket, conversation)
        made = self._replied(message)
        if made is None:
            raise Conflict("the message is gone.", where=message.id)
        return made

    def _in_its_place(self, proposal: Message, weighed: Weighed) -> Message | None:
        """The note that is said where the proposal is held back."""
        if weighed.decision == "alone":
            return None
        text = say("ask", weighed.language)
        if weighed.decision == "person":
            text = self._note(weighed.language, weighed.reason)
        said = self._said(proposal.conversation, text)
        shown = tuple(p.id for p in weighed.choices)
        return replace(said, id=note_of(proposal.id), sources=shown, answer=proposal.answer)

    def _note(self, language: str, reason: str) -> str:
        if not self._hours.is_open(self.project.clock()):
            return closed(language, self._hours.next_opening(self.project.clock()))
        return say(_NOTES.get(reason, "hand_over"), language)

    def _search_of(self, message: Message, conversation: Conversation, weighed: Weighed) -> list[Search]:
        """What was found, under the id of the message, for the reranker to learn from."""
        if not weighed.shown:
            return []
        task = self.project.recipe.support.search_task
        text = weighed.asked
        return [Search(message.id, conversation.channel, task, text, weighed.shown, self.project.clock())]


def _unknown(weighed: Weighed) -> Weighed:
    """The writer knows no answer: a person does, and nothing is left to check."""
    text = say("unknown", weighed.language)
    return replace(
        weighed, text=text, decision="person", reason="unknown", score=None, drawn=False, sources=()
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _check(text: str) -> None:
    wrong = wrong_with(text)
    if wrong:
        raise InputError(f"the message {wrong}.", field="text", cure="Write something.")
    if len(text) > LONGEST:
        raise InputError(
            f"the message has {len(text)} characters.", field="text", cure=f"Write at most {LONGEST}."
        )
