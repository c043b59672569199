"""What the desk asks of its neighbours, so that each can be stood in for: model, search, guarantee, writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from headrace.feedback.trust import Sight
from headrace.records import Answer, Conversation, Decision, Feedback, Passage, Ticket

Understand = Callable[[str, str, str], Answer]
"""(text, task, channel) -> the label that serves there, stored as an Answer. Raises NotServed, Refused."""

Notify = Callable[[Ticket, Conversation], None]
"""Told of each ticket that waits, once it is stored."""

Turn = Callable[[], AbstractContextManager[object]]
"""Held while something is written, by one thread at a time."""

Learn = Callable[[Sequence[str]], None]
"""Ids of feedback that counts from now on."""


See = Callable[[Feedback], Sight]
"""How what serves sees a correction's text: where it lies, and how likely the label is."""


class Found(Protocol):
    """A passage, and with which chance it answers."""

    @property
    def passage(self) -> Passage:
        """What was found."""
        ...

    @property
    def chance(self) -> float:
        """The calibrated probability that it answers the question."""
        ...


class Searched(Protocol):
    """What was found for a question, best first, and by what."""

    @property
    def found(self) -> Sequence[Found]:
        """Passages of the channel, or of all channels, best first."""
        ...

    @property
    def adapter(self) -> str | None:
        """The adapter that embedded the question, where one did."""
        ...

    @property
    def release(self) -> str | None:
        """The release by which it serves."""
        ...

    @property
    def because(self) -> str | None:
        """The correction that decided, where one did."""
        ...


class Searches(Protocol):
    """Finds passages."""

    def search(
        self, text: str, *, task: str | None, channel: str, limit: int = 5, context: Sequence[str] = ()
    ) -> Searched:
        """The passages that answer `text`, asked after the turns in `context`."""
        ...


class Decides(Protocol):
    """Says what may be answered alone."""

    def decide(self, task: str, channel: str, score: float) -> Decision:
        """Whether an answer of this score is given alone."""
        ...

    def rate(self, task: str, channel: str) -> float:
        """With which chance the next message is drawn for a check."""
        ...


class Sentence(Protocol):
    """One sentence of a written answer."""

    @property
    def text(self) -> str:
        """What it says."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """Ids of the passages that say so."""
        ...


class Unwritten(Exception):
    """The writer found no answer in the passages, or could not be reached; nothing of it was said."""


class Writes(Protocol):
    """Writes an answer from passages."""

    def write(
        self,
        question: str,
        passages: Sequence[Passage],
        language: str,
        history: Sequence[str],
        *,
        channel: str,
    ) -> Iterator[Sentence]:
        """Sentences as they come, each with its sources; raises Unwritten where there is no answer.

        `history` is what the customer said before; `channel` is the one that asks, whose passages these are.
        """
        ...


class Hours(Protocol):
    """When persons answer."""

    def is_open(self, at: datetime) -> bool:
        """Whether somebody is there."""
        ...

    def next_opening(self, at: datetime) -> datetime | None:
        """When somebody is there again, in the owner's time zone; None where nobody knows."""
        ...
