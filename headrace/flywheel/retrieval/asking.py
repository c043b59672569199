"""Questions asked of an open adapter, all at once: the scores of every passage, and the rank of the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headrace.flywheel.retrieval.pairs import is_title
from headrace.knowledge.index import Hit, Index, Question
from headrace.knowledge.rerank import CANDIDATES, Reranker, Seen
from headrace.records import Example, Passage
from headrace.serving.search_adapter import SearchAdapter

Floats = NDArray[np.float32]
BACKGROUND = 200
"""Passages from which it is told what does not belong together."""

MISSED = 1_000_000
"""The rank of a passage that was not found."""


@dataclass(frozen=True)
class Ranked:
    """What was found for a question: the passage put first, with which chance, and the rank of the right one."""

    first: str
    chance: float
    rank: int


class Asking:
    """The passages of one channel, with and without their titles: a title is asked of passages without."""

    def __init__(self, adapter: SearchAdapter, passages: Sequence[Passage]) -> None:
        self.adapter, self.passages = adapter, list(passages)
        bare = [replace(passage, title="") for passage in passages]
        self._whole = Index(self.passages, adapter.vectors(self.passages))
        self._bare = Index(bare, adapter.vectors(bare))
        self._places = {passage.id: i for i, passage in enumerate(self.passages)}

    def ranked(self, pairs: Sequence[Example], reranker: Reranker) -> list[Ranked]:
        """One for each pair, in order."""
        return [
            _ranked(self._index(pair).search(question, reranker, limit=CANDIDATES), pair)
            for pair, question in zip(pairs, self._questions(pairs), strict=True)
        ]

    def seen(self, pairs: Sequence[Example], reranker: Reranker) -> list[tuple[Seen, int]]:
        """The scores of every passage for each pair's question, and the number of the right passage."""
        return [
            (self._index(pair).seen(question, reranker), self._places[pair.label])
            for pair, question in zip(pairs, self._questions(pairs), strict=True)
        ]

    def background(self, questions: Floats | None) -> float:
        """The mean cosine of questions [n, d] with passages, which mostly do not belong together.

        Without questions that of passages with each other, which lie somewhat nearer.
        """
        some = self.adapter.plain([passage.text for passage in self.passages[:BACKGROUND]])
        if questions is not None:
            return float((questions @ some.T).mean())
        pairs = (some @ some.T)[np.triu_indices(len(some), 1)]
        return float(pairs.mean()) if len(pairs) else 0.0

    def _questions(self, pairs: Sequence[Example]) -> list[Question]:
        texts = [pair.text for pair in pairs]
        if not texts:
            return []
        vectors = self.adapter.questions(texts)
        return [Question(text, vector=vector) for text, vector in zip(texts, vectors, strict=True)]

    def _index(self, pair: Example) -> Index:
        return self._bare if is_title(pair) else self._whole


def _ranked(hits: Sequence[Hit], pair: Example) -> Ranked:
    ids = [hit.passage.id for hit in hits]
    rank = ids.index(pair.label) + 1 if pair.label in ids else MISSED
    return Ranked(ids[0] if ids else "", hits[0].chance if hits else 0.0, rank)


def first_passages(
    adapter: SearchAdapter, passages: Sequence[Passage], questions: Sequence[str]
) -> list[Passage | None]:
    """The passage that an adapter puts first for each question; None where there is none."""
    if not questions:
        return []
    index = Index(passages, adapter.vectors(passages))
    vectors = adapter.questions(questions)
    hits = [
        index.search(Question(text, vector=vector), adapter.reranker, limit=1)
        for text, vector in zip(questions, vectors, strict=True)
    ]
    return [found[0].passage if found else None for found in hits]
