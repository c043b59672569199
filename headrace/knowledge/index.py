"""The passages that may answer in one channel, searched by words and by meaning.

An index is made of the passages of that channel alone, so that another's leave no trace in it: not in the
results, and not in how rare a word is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.knowledge.fuse import scaled
from headrace.knowledge.rerank import CANDIDATES, Reranker, Seen
from headrace.knowledge.words import Words, words
from headrace.models.tasks.embed import scores
from headrace.records import Passage

Floats = NDArray[np.float32]

EARLIER = 0.5
"""What the turns before a question count for at most; the longer the question, the less."""


@dataclass(frozen=True)
class Vectors:
    """What n passages mean, float32 of norm 1: `whole` texts [n, d], their `parts` [m, d], and `titles` [n, d].

    Passage i's parts begin at `starts[i]` [n]; a title is zero where there is none.
    """

    whole: Floats
    parts: Floats
    starts: NDArray[np.int64]
    titles: Floats

    def cosines(self, vector: Floats) -> Floats:
        """[2, n] with a question's vector [d]: of the passage, its title too; of its title alone."""
        texts = scores(vector[None], self.whole, self.parts, self.starts)[0]
        titles = self.titles @ vector
        return np.stack([np.maximum(texts, titles), titles]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found; `chance` that it answers, and its scores by words and meaning, all in [0, 1]."""

    passage: Passage
    chance: float
    words: float
    meaning: float


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the text, the turns before it (latest last), and the vectors of both, if any."""

    text: str
    before: Sequence[str] = ()
    vector: Floats | None = None
    joined: Floats | None = None

    @property
    def whole(self) -> str:
        """The latest turn before the question, and the question."""
        return f"{self.before[-1]} {self.text}" if self.before else self.text

    @property
    def earlier(self) -> float:
        """What the score of the whole counts for beside that of the question alone."""
        return min(EARLIER, 2 / (len(words(self.text)) + 2)) if self.before else 0.0


class Index:
    """An index of passages; it never changes, so threads may share it."""

    def __init__(self, passages: Sequence[Passage], vectors: Vectors | None = None) -> None:
        self.passages, self._vectors = tuple(passages), vectors
        self._by_id = {passage.id: passage for passage in self.passages}
        self._words = Words([p.title for p in self.passages], [p.text for p in self.passages])

    def get(self, passage_id: str) -> Passage | None:
        """A passage of the index by its id."""
        return self._by_id.get(passage_id)

    def search(self, question: Question, reranker: Reranker, *, limit: int = 5) -> list[Hit]:
        """The passages most likely to answer, best first, at most `limit`; equals in the passages' order.

        What shares neither word nor meaning with the question is left out.
        """
        if not self.passages or limit < 1:
            return []
        seen = self.seen(question, reranker)
        fused = reranker.fused(seen)
        near = np.argsort(-fused, kind="stable")[: max(limit, CANDIDATES)]
        near = near[fused[near] > 0]
        chances = reranker.chances(seen.of(near))
        best = np.lexsort((near, -fused[near], -chances))[:limit]
        return [self._hit(int(near[i]), float(chances[i]), seen) for i in best.tolist()]

    def seen(self, question: Question, reranker: Reranker) -> Seen:
        """The scores of every passage, in order."""
        text, title = self._joined(question, self._words.scores(question.text), self._words.scores)
        if self._vectors is None or question.vector is None:
            return Seen(text, title)
        alone = self._vectors.cosines(question.vector)
        both = self._joined(question, alone, lambda _: self._with_before(question))
        return Seen(text, title, *(scaled(row, reranker.background) for row in both))

    def _joined(self, question: Question, alone: Floats, ask: Callable[[str], Floats]) -> Floats:
        """[2, n] scores of the question alone, and where turns came before it of both together."""
        share = np.float32(question.earlier)
        if not share:
            return alone
        return np.asarray((1 - share) * alone + share * ask(question.whole), np.float32)

    def _with_before(self, question: Question) -> Floats:
        assert self._vectors is not None
        assert question.joined is not None
        return self._vectors.cosines(question.joined)

    def _hit(self, at: int, chance: float, seen: Seen) -> Hit:
        meaning = 0.0 if seen.meaning is None else float(seen.meaning[at])
        return Hit(self.passages[at], chance, float(seen.words[at]), meaning)
