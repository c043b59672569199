"""The memory of corrections: each counts at once for its question and its rewordings, and for nothing else.

A memory belongs to a (task, channel); no other one's corrections are ever looked at. It takes the embedding
and the scores that the serving adapter gave, so it needs no model. After a release both may be others:
`forget_all` and learn again.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from headrace.feedback.radius import Floats, Found, Reach, affinity

Scores = Mapping[str, float]
Pair = tuple[str, str]

LIMIT = 5000
"""Corrections of one (task, channel) that count at a time; the oldest goes first."""


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


@dataclass(frozen=True, slots=True, eq=False)
class _Snapshot:
    """The corrections of a (task, channel) as they are searched; it never changes."""

    entries: tuple[_Entry, ...]
    same: Mapping[str, _Entry]
    names: tuple[str, ...]
    roots: Floats
    views: Floats
    votes: Floats
    reach: Reach | None


@dataclass(slots=True)
class _Shelf:
    """The corrections of a (task, channel) in the order of learning, and what is searched of them."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    snapshot: _Snapshot | None = None


class Memory:
    """The corrections of all (task, channel)s of a process. Safe from several threads."""

    def __init__(self, reaches: Mapping[str, Reach] | None = None, *, limit: int = LIMIT) -> None:
        """`reaches` says by task how far a correction reaches; without one, to the same text alone."""
        self._reaches = dict(reaches or {})
        self._limit = limit
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
    ) -> None:
        """Let a correction count from now on: `text` is to be answered with `label`.

        `embedding` [d] float32 of norm 1 and `scores` (label -> probability) are the serving adapter's. Of
        several corrections of one text the newest counts. The same `feedback_id` again keeps its place.
        """
        entry = _Entry(plain(text), embedding, dict(scores), label, feedback_id)
        with self._lock:
            shelf = self._shelves.setdefault((task, channel), _Shelf())
            shelf.entries[feedback_id] = entry
            while len(shelf.entries) > self._limit:
                del shelf.entries[next(iter(shelf.entries))]
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
                found = shelf.snapshot = _taken(tuple(shelf.entries.values()), self._reaches.get(pair[0]))
        return found


def plain(text: str) -> str:
    """A text in the one spelling in which the same question is the same: NFKC, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _taken(entries: tuple[_Entry, ...], reach: Reach | None) -> _Snapshot:
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
    return _Snapshot(kept, newest, names, roots, views, votes, reach)


def _roots(scores: Scores, names: tuple[str, ...]) -> Floats:
    return np.sqrt(np.array([scores.get(name, 0.0) for name in names], np.float32))


def _nearest(snapshot: _Snapshot, reach: Reach, embedding: Floats, scores: Scores) -> Recalled | None:
    """The correction that reaches the question best; the newest of equals."""
    if not snapshot.entries:
        return None
    view = reach.view(embedding)
    similarity: NDArray[np.float32] = snapshot.views @ view
    agreed = affinity(_roots(scores, snapshot.names), snapshot.roots)
    margins = reach.margins(Found(similarity, agreed, snapshot.votes), view, scores)
    best = len(margins) - 1 - int(margins[::-1].argmax())
    if not margins[best] >= 0:
        return None
    entry = snapshot.entries[best]
    return Recalled(entry.label, entry.feedback_id, float(similarity[best]))
