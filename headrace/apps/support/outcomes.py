"""What the desk gives back: a conversation begun, a reply, what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.records import Conversation, Decision, Feedback, Message, Passage, Ticket


@dataclass(frozen=True, slots=True)
class Begun:
    """A new conversation and the secret that opens it, which is never shown again; `greeting` is stored too."""

    conversation: Conversation
    secret: str
    greeting: Message


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that the customer may have meant: the label that a correction names, and how it reads."""

    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the customer sees in answer to a message.

    `message` is None where a person is in the conversation already: the machine is quiet then. `choices` are
    what the customer is asked about; `ticket` is the one that waits, where a person was asked.
    """

    message: Message | None
    sources: tuple[Passage, ...] = ()
    choices: tuple[Choice, ...] = ()
    ticket: Ticket | None = None
    decision: Decision = "person"


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a customer's word: the feedback, and what the machine said then, where it knew more."""

    feedback: Feedback | None
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A passage that may answer, with the chance that it was given then."""

    passage: Passage
    chance: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A ticket with all that a person needs: what was said, the drafts included that the customer never saw.

    `question` is the customer's message that the ticket is about, `draft` what the machine would have said to
    it; `intent` is the label that it was given.
    """

    ticket: Ticket
    conversation: Conversation
    messages: tuple[Message, ...]
    question: Message | None = None
    draft: Message | None = None
    suggestions: tuple[Suggestion, ...] = ()
    intent: str | None = None
