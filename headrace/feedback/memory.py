"""The memory of corrections: each counts at once for its question and its rewordings, and for nothing else.

A memory belongs to a (task, channel); no other one's corrections are ever looked at. It takes the embedding
and the scores that the serving adapter gave, so it needs no model. After a release both may be others:
`forget_all` and learn again.
"""

from __future__ import annotations

import math
import threading
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from headrace.feedback.radius import SHARE, TOGETHER, Floats, Found, Reach, affinity

Scores = Mapping[str, float]
Pair = tuple[str, str]
Order = tuple[int, int]

LIMIT = 5000
"""Corrections of one (task, channel) that count at a time; the oldest goes first."""

FEW, MANY = 3, 20
"""Up to `FEW` corrections of one person in a (task, channel) change together what one may; beyond `MANY` each
reaches the same text alone."""

PLAUSIBLE = 0.1
"""Chance that the adapter gives a label below which a user's word reaches no other text: where one verdict in ten
is wrong, most of such corrections are, since the answers that they correct are mostly right."""

DOUBTED = 2
"""How many corrections one that a user alone says is taken for among a channel's."""

WARY = 3
"""Between them, all of a person's together change so many times less than one may."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """The correction that decides a question; `similarity` is the cosine of the two, 1 for the same text."""

    label: str
    feedback_id: str
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    plain: str
    embedding: Floats
    scores: Scores
    label: str
    feedback_id: str
    order: Order
    person: str | None
    sure: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Snapshot:
    """The corrections of a (task, channel) as they are searched; it never changes."""

    entries: tuple[_Entry, ...]
    same: Mapping[str, _Entry]
    names: tuple[str, ...]
    roots: Floats
    views: Floats
    votes: Floats
    crowd: Floats
    reach: Reach | None


@dataclass(slots=True)
class _Shelf:
    """The corrections of a (task, channel), and what is searched of them; `last` is the latest's order."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    snapshot: _Snapshot | None = None
    last: Order = (0, 0)


class Memory:
    """The corrections of all (task, channel)s of a process. Safe from several threads."""

    def __init__(
        self,
        reaches: Mapping[str, Reach] | None = None,
        *,
        limit: int = LIMIT,
        plausible: float = PLAUSIBLE,
    ) -> None:
        """`reaches` says by task how far a correction reaches; without one, to the same text alone.

        `plausible` is the chance that the adapter must give a user's label for it to reach further.
        """
        self._reaches = dict(reaches or {})
        self._limit, self._plausible = limit, plausible
        self._lock = threading.Lock()
        self._shelves: dict[Pair, _Shelf] = {}

    def learn(
        self,
        task: str,
        channel: str,
        text: str,
        embedding: Floats,
        scores: Scores,
        label: str,
        feedback_id: str,
        order: Order | None = None,
        person: str | None = None,
        sure: bool = True,
    ) -> None:
        """Let a correction count from now on: `text` is to be answered with `label`.

        `embedding` [d] float32 of norm 1 and `scores` (label -> probability) are the serving adapter's. Of
        several corrections of one text the last counts by `order`, without it the newest. The same
        `feedback_id` again keeps its place. All corrections of one `person` together change no more other
        questions than one may. One that is not `sure`, since a user alone says so, and that the adapter gives
        less than `PLAUSIBLE`, reaches the same text alone.
        """
        with self._lock:
            shelf = self._shelves.setdefault((task, channel), _Shelf())
            before = shelf.entries.get(feedback_id)
            order = order or (before.order if before else (shelf.last[0] + 1, 0))
            entry = _Entry(plain(text), embedding, dict(scores), label, feedback_id, order, person, sure)
            shelf.entries[feedback_id] = entry
            shelf.last = max(shelf.last, order)
            while len(shelf.entries) > self._limit:
                del shelf.entries[min(shelf.entries.values(), key=_when).feedback_id]
            shelf.snapshot = None

    def recall(
        self, task: str, channel: str, text: str, embedding: Floats, scores: Scores
    ) -> Recalled | None:
        """The correction that decides `text` in this (task, channel); None where there is none."""
        snapshot = self._snapshot((task, channel))
        if snapshot is None:
            return None
        exact = snapshot.same.get(plain(text))
        if exact is not None:
            return Recalled(exact.label, exact.feedback_id, 1.0)
        return None if snapshot.reach is None else _nearest(snapshot, snapshot.reach, embedding, scores)

    def forget(self, feedback_id: str) -> bool:
        """Let a correction count no more, wherever it did; says whether there was one."""
        with self._lock:
            holding = [shelf for shelf in self._shelves.values() if feedback_id in shelf.entries]
            for shelf in holding:
                del shelf.entries[feedback_id]
                shelf.snapshot = None
        return bool(holding)

    def forget_all(self, task: str | None = None, channel: str | None = None) -> None:
        """Empty the memory, or that of one task, one channel, or one (task, channel)."""
        with self._lock:
            for pair in list(self._shelves):
                if task in (None, pair[0]) and channel in (None, pair[1]):
                    del self._shelves[pair]

    def set_reach(self, task: str, reach: Reach | None) -> None:
        """Say how far corrections of a task reach from now on; None leaves the same text alone."""
        with self._lock:
            if reach is None:
                self._reaches.pop(task, None)
            else:
                self._reaches[task] = reach
            for pair, shelf in self._shelves.items():
                if pair[0] == task:
                    shelf.snapshot = None

    def reach(self, task: str) -> Reach | None:
        """How far corrections of a task reach."""
        return self._reaches.get(task)

    def counts(self) -> dict[Pair, int]:
        """Corrections that count, by (task, channel)."""
        with self._lock:
            return {pair: len(shelf.entries) for pair, shelf in self._shelves.items() if shelf.entries}

    def _snapshot(self, pair: Pair) -> _Snapshot | None:
        shelf = self._shelves.get(pair)
        if shelf is None:
            return None
        found = shelf.snapshot  # read once: a learner may take it away meanwhile
        if found is None:
            with self._lock:
                found = shelf.snapshot = _taken(
                    sorted(shelf.entries.values(), key=_when), self._reaches.get(pair[0]), self._plausible
                )
        return found


def plain(text: str) -> str:
    """A text in the one spelling in which the same question is the same: NFKC, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _when(entry: _Entry) -> Order:
    return entry.order


def _taken(entries: Sequence[_Entry], reach: Reach | None, plausible: float) -> _Snapshot:
    """What is searched: the newest correction of each text, oldest first."""
    newest: dict[str, _Entry] = {}
    for entry in entries:
        newest.pop(entry.plain, None)  # so that it moves to the end
        newest[entry.plain] = entry
    kept = tuple(newest.values())
    names = tuple(sorted({name for entry in kept for name in entry.scores}))
    roots = np.array([_roots(entry.scores, names) for entry in kept], np.float32).reshape(
        len(kept), len(names)
    )
    views = np.array([reach.view(entry.embedding) for entry in kept] if reach else [], np.float32)
    votes = np.array([reach.votes(view) for view in views] if reach else [], np.float32)
    return _Snapshot(kept, newest, names, roots, views, votes, _crowd(kept, plausible), reach)


def _crowd(entries: Sequence[_Entry], plausible: float) -> Floats:
    """[n] among how many corrections each shares what all may change; inf where it reaches its text alone."""
    own = Counter(entry.person for entry in entries)
    weights = {person: 1.0 if person is None else _weight(count) for person, count in own.items()}
    shared = [max(len(entries) * (1.0 if e.sure else DOUBTED), weights[e.person]) for e in entries]
    reaching = [entry.sure or entry.scores.get(entry.label, 0.0) >= plausible for entry in entries]
    return np.where(reaching, shared, math.inf).astype(np.float32)


def _weight(own: int) -> float:
    """How many corrections each of one person's `own` is taken for."""
    if own == 1:
        return 1.0
    return math.inf if own > MANY else own * (1 if own <= FEW else WARY) * TOGETHER / SHARE


def _roots(scores: Scores, names: tuple[str, ...]) -> Floats:
    return np.sqrt(np.array([scores.get(name, 0.0) for name in names], np.float32))


def _nearest(snapshot: _Snapshot, reach: Reach, embedding: Floats, scores: Scores) -> Recalled | None:
    """The correction that reaches the question best; the newest of equals."""
    if not snapshot.entries:
        return None
    view = reach.view(embedding)
    similarity: NDArray[np.float32] = snapshot.views @ view
    agreed = affinity(_roots(scores, snapshot.names), snapshot.roots)
    margins = reach.margins(Found(similarity, agreed, snapshot.votes, snapshot.crowd), view, scores)
    best = len(margins) - 1 - int(margins[::-1].argmax())
    if not margins[best] >= 0:
        return None
    entry = snapshot.entries[best]
    return Recalled(entry.label, entry.feedback_id, float(similarity[best]))
