"""The nouns of customer service: what is known, what is said, who is asked where the machine is not sure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from headrace.records.making import Json

DocumentState = Literal["live", "draft", "gone"]
Author = Literal["customer", "machine", "agent"]
Decision = Literal["alone", "ask", "person"]
ConversationState = Literal["open", "waiting", "closed"]
TicketState = Literal["waiting", "taken", "answered", "closed"]
Role = Literal["owner", "agent"]


@dataclass(frozen=True, slots=True)
class Document:
    """A page, a file or a row of a FAQ table, as it was last read from its `source`.

    Its id is the hash of channel, source and place. `channel` None: every channel may be answered from it.
    A `draft` answers nobody until the owner publishes it. `flag` is what an agent found wrong in it; `url` is
    where a customer may read it.
    """

    id: str
    source: str
    place: str
    title: str
    language: str
    channel: str | None
    digest: str
    at: datetime
    state: DocumentState = "live"
    url: str = ""
    flag: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document that can answer a question. Its id is the hash of document, title and text.

    `title` is the headings above it or, in a FAQ, the question. A `curated` text is the owner's answer, given
    word for word; `intent` is the label of the question that it answers, where the owner named one.
    """

    id: str
    document: str
    channel: str | None
    language: str
    title: str
    text: str
    number: int
    at: datetime
    curated: bool = False
    intent: str | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """A question, what was found for it, and the passage that a person then picked.

    `shown` maps passage ids to the scores by which they were ranked; `by` says who picked: a customer's click,
    an agent, a correction.
    """

    id: str
    channel: str
    task: str
    text: str
    shown: Json
    at: datetime
    chosen: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one customer and the machine or an agent say to each other in a channel.

    Who holds the secret of which `digest` is the SHA-256 may read and continue it. `person` is a pseudonym.
    `contact` is the way that the customer left for a late answer.
    """

    id: str
    channel: str
    language: str
    digest: str
    at: datetime
    state: ConversationState = "open"
    person: str | None = None
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said in a conversation; private details are masked in `text`.

    A reply names in `reply_to` the message that it answers: at most one of the machine's does. `sources` are
    ids of passages, `answer` is the id of the intent's Answer, `score` how sure the machine was and `decision`
    what followed from it. `drawn` by a coin thrown before the answer, it is checked by a person.
    """

    id: str
    conversation: str
    author: Author
    text: str
    at: datetime
    reply_to: str | None = None
    sources: tuple[str, ...] = ()
    answer: str | None = None
    task: str | None = None
    score: float | None = None
    decision: Decision | None = None
    drawn: bool = False
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A conversation that waits for a person, and why; `agent` is who took it."""

    id: str
    conversation: str
    channel: str
    message: str
    reason: str
    at: datetime
    state: TicketState = "waiting"
    agent: str | None = None
    changed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a machine's answer was right, as somebody whom the owner trusts said; `message` is the answer's."""

    message: str
    right: bool
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may open the console; `digest` is the argon2 hash of the password."""

    id: str
    name: str
    role: Role
    digest: str
    created: datetime
    disabled: datetime | None = None
