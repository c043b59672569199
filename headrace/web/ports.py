"""What the server asks of its neighbours, so that each can be stood in for: batcher, memory, mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from headrace.records import Answer, Shadow, Verdict
from headrace.serving.engine import Ask, Scored

Embedding = npt.NDArray[np.float32]


class Waits(Protocol):
    """A call under way."""

    def cancel(self) -> bool:
        """Let nobody be told of it; False where somebody was already."""
        ...


class Submits(Protocol):
    """Takes asks of all channels and answers them in batches."""

    def post(self, asks: Sequence[Ask], done: Callable[[list[Scored] | Exception], None]) -> Waits:
        """Ask; `done` is called once, from any thread, with the answers or an error. Raises ServerFull."""
        ...

    def submit(self, ask: Ask) -> Future[Scored]:
        """A future that may fail with NotServed or ServerFull; raises ServerFull."""
        ...


class Recalled(Protocol):
    """A correction that reaches a text."""

    @property
    def label(self) -> str:
        """The label that the correction gave."""
        ...

    @property
    def feedback_id(self) -> str:
        """The id of the correction."""
        ...


class Memory(Protocol):
    """Corrections that count before the next turn. `learn` comes from other threads than `recall`."""

    def recall(
        self, task: str, channel: str, text: str, embedding: Embedding, scores: Mapping[str, float], /
    ) -> Recalled | None:
        """The correction that decides this text, where there is one."""
        ...

    def learn(
        self,
        task: str,
        channel: str,
        text: str,
        embedding: Embedding,
        scores: Mapping[str, float],
        label: str,
        feedback_id: str,
        order: tuple[int, int],
        person: str | None,
        sure: bool,
        /,
    ) -> None:
        """Let a correction count from now on; the same `feedback_id` again takes the place of the first.

        Of two for one text the later by `order` counts. One `person`'s together reach no further than one;
        one that is not `sure` is a user's word alone.
        """
        ...

    def forget(self, feedback_id: str, /) -> bool:
        """Let a correction count no more; says whether it did."""
        ...


class NoMemory:
    """The memory of a recipe that switched it off: corrections wait for the next turn."""

    def recall(
        self, task: str, channel: str, text: str, embedding: Embedding, scores: Mapping[str, float], /
    ) -> None:
        """Nothing decides but the adapter."""

    def learn(
        self,
        task: str,
        channel: str,
        text: str,
        embedding: Embedding,
        scores: Mapping[str, float],
        label: str,
        feedback_id: str,
        order: tuple[int, int],
        person: str | None,
        sure: bool,
        /,
    ) -> None:
        """Nothing is learned."""

    def forget(self, feedback_id: str, /) -> bool:
        """Nothing was learned."""
        return False


Mask = Callable[[str, str], str]
"""(channel, text) -> the text with its private details replaced, as it is stored."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as it is sent: the record that is stored, and its best scores, highest first.

    `shadow` is the answer of a trial's other adapter, which is stored with it and not sent.
    """

    answer: Answer
    scores: tuple[tuple[str, float], ...]
    shadow: Shadow | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """Feedback as it came in."""

    answer: str
    verdict: Verdict
    label: str | None = None
    person: str | None = None


class LateScores(Mapping[str, float]):
    """Label -> probability, made a dict only where somebody looks: most questions meet no correction."""

    __slots__ = ("_labels", "_made", "_probabilities")

    def __init__(self, labels: Sequence[str], probabilities: Embedding) -> None:
        self._labels, self._probabilities = labels, probabilities
        self._made: dict[str, float] | None = None

    def __getitem__(self, label: str) -> float:
        return self._all()[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def _all(self) -> dict[str, float]:
        if self._made is None:
            self._made = dict(zip(self._labels, self._probabilities.tolist(), strict=True))
        return self._made


def best(labels: Sequence[str], probabilities: Embedding, count: int) -> tuple[tuple[str, float], ...]:
    """The `count` highest scores, highest first; equal ones by label, so that the order is one."""
    chances, places = probabilities, range(len(labels))
    if len(labels) > count:
        ordered = probabilities.copy()
        ordered.partition(len(labels) - count)
        places = (probabilities >= ordered[len(labels) - count]).nonzero()[0]
        chances = probabilities[places]
    found = sorted((-chance, labels[place]) for chance, place in zip(chances.tolist(), places, strict=True))
    return tuple([(label, -chance) for chance, label in found[:count]])
