"""Questions that nothing answered -> gaps: those of one meaning together, counted, under the most central one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.data.texts import normalised
from headrace.records import Document
from headrace.store import Store

Vectors = NDArray[np.float32]
Maker = Callable[[Sequence[str]], Vectors]
"""Makes vectors (n, width) of n texts."""
MOST = 2000
"""Questions that are looked at, the newest: the distances of all pairs are held in memory, 32 MB."""
NEAR_MEANING = 0.6
"""Cosine distance up to which two groups are one gap, on average over their pairs, by vectors about their mean.

Taken about their mean, vectors of different bases are alike: on banking77 three quarters or more of what is put
together is of one intent, with all-MiniLM-L6-v2 and with multilingual-e5-small.
"""
NEAR_LETTERS = 0.7
"""The same by words and letters."""
NEAR_HAN = 0.85
"""The same between texts in Chinese, which are shorter and of more signs."""
ENOUGH = 50
"""Distinct questions from which there is a mean worth the name; below, letters are compared."""
_SHOWN = 20
_SIGNS = re.compile(r"[^\w]+")
_HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and when it was asked where that is known."""

    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """What customers ask for and no document says.

    `heading` is the most central question, `draft` a title for the answer to be written; `questions` are the
    distinct ones, most central first, 20 at most; `count` is how often it was asked. `answer` is the id of the
    draft, or of the live answer after which it was still asked.
    """

    heading: str
    count: int
    questions: tuple[str, ...]
    draft: str
    answer: str | None = None


def gaps(
    questions: Sequence[Asked],
    *,
    answers: Sequence[Document] = (),
    vectors: Maker | None = None,
    least: int = 2,
) -> list[Gap]:
    """The gaps among `questions`, most asked first; those asked fewer than `least` times are left out.

    A question asked before one of `answers` of the same meaning was live is one no more. Average-linkage
    agglomerative clustering on cosine distance (Sokal and Michener, 1958).
    """
    asked: dict[str, list[Asked]] = defaultdict(list)
    for question in questions[:MOST]:
        if question.text.strip():
            asked[_key(question.text)].append(question)
    if not asked:
        return []
    texts = [" ".join(same[0].text.split()) for same in asked.values()]
    by = vectors if len(texts) >= ENOUGH else None
    distances = _distances([*texts, *(document.title for document in answers)], by)
    near = NEAR_LETTERS if by is None else NEAR_MEANING
    times = list(asked.values())
    found = []
    for group in _groups(distances, near):
        inside = [i for i in group if i < len(texts)]
        written = [answers[i - len(texts)] for i in group if i >= len(texts)]
        counts = np.array([sum(_is_open(one, written) for one in times[i]) for i in inside])
        if inside and counts.sum() >= least:
            gap = _gap([texts[i] for i in inside], counts, distances[np.ix_(inside, inside)])
            found.append(replace(gap, answer=written[-1].id if written else None))
    return sorted(found, key=lambda gap: (-gap.count, gap.heading))


def open_questions(store: Store, channel: str | None = None) -> list[Asked]:
    """Messages of customers for which a person was called or the customer was asked back, newest first."""
    found = store.conversations.unsettled(channel=channel, limit=MOST)
    return [Asked(message.text, message.at) for message in found]


def _key(text: str) -> str:
    """Equal for questions that differ in signs and letters' size alone."""
    words = normalised(text)
    return " ".join(_SIGNS.sub(" ", words).split()) or words


def _is_open(question: Asked, answers: Sequence[Document]) -> bool:
    """Whether no answer was live when a question was asked."""
    live = [answer.at for answer in answers if answer.state == "live"]
    return not live or (question.at is not None and question.at > min(live))


def _gap(texts: Sequence[str], counts: NDArray[np.int64], distances: Vectors) -> Gap:
    order = np.argsort(distances @ counts, kind="stable")
    ranked = [texts[i] for i in order]
    return Gap(ranked[0], int(counts.sum()), tuple(ranked[:_SHOWN]), _title(ranked[0]))


def _title(question: str) -> str:
    """A question as a heading: its first letter large, no full stop behind it."""
    words = question.strip().rstrip(".。!！ ")
    return (words[:1].upper() + words[1:])[:120]


def _distances(texts: Sequence[str], vectors: Maker | None) -> Vectors:
    """Cosine distances (n, n)."""
    if vectors is None:
        return _letters(texts)
    made = _of_length_one(np.asarray(vectors(texts), dtype=np.float32))
    made = _of_length_one(made - made.mean(axis=0))
    distances: Vectors = np.clip(1 - made @ made.T, 0, 2)
    return distances


def _of_length_one(made: Vectors) -> Vectors:
    scaled: Vectors = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)
    return scaled


def _letters(texts: Sequence[str]) -> Vectors:
    """By n-grams of 1 to 4 letters within words, weighted by TF-IDF."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, dtype=np.float32)
    found: Any = made.fit_transform(texts)
    distances: Vectors = np.clip(1 - np.asarray((found @ found.T).todense(), dtype=np.float32), 0, 2)
    han = np.flatnonzero([_HAN.search(text) is not None for text in texts])
    distances[np.ix_(han, han)] *= NEAR_LETTERS / NEAR_HAN
    return distances


def _groups(distances: Vectors, near: float) -> list[list[int]]:
    if len(distances) == 1:
        return [[0]]
    from sklearn.cluster import AgglomerativeClustering

    made = AgglomerativeClustering(
        n_clusters=None, metric="precomputed", linkage="average", distance_threshold=near
    )
    labels = made.fit_predict(distances)
    return [np.flatnonzero(labels == label).tolist() for label in range(labels.max() + 1)]
