"""The chance that a passage answers a question: a logistic head over what words and meaning say of it.

It sees the few best passages side by side: how good each is, how far it is from the best of the others, and
its rank. What a project has not taught it yet it has from a packaged default. Taught by questions whose passage
is known: clicks, agents' picks, corrections, and the questions that trained the adapter's validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.errors import ArtifactError
from headrace.knowledge.fuse import SHARE, fuse

Floats = NDArray[np.float32]
RERANK_FILE = "rerank.json"
FORMAT = "headrace-rerank-1"
CANDIDATES = 20
"""Passages that are looked at side by side, at least."""

REACH = 0.8
"""The cosine of two questions from which a correction of one counts for the other, where none was learned."""

_NUMBERS = ("share", "background", "reach")
NAMES = (
    "one",
    "words",
    "words gap",
    "meaning",
    "meaning gap",
    "title meaning",
    "title words",
    "rank",
    "both",
)
"""The features, in order: a constant; the scores in [0, 1] and how far above the best other they are; the title's
part of each; 1 / rank by the fused score; the product of words and meaning."""

WORDS_ALONE = (-4.3, 13.6, 24.9, 0.0, 0.0, 0.0, 1.5, 2.7, 0.0)
MEANING_TOO = (-2.3, 7.7, 13.3, -0.4, 10.9, 0.5, 0.5, 1.4, 3.3)
"""The packaged coefficients, fitted to the training halves of benchmarks.retrieval."""


@dataclass(frozen=True, slots=True)
class Seen:
    """n passages beside a question: their scores [n] in [0, 1], `title` those of their titles alone.

    `meaning` and `title_meaning` are None where there is no adapter.
    """

    words: Floats
    title_words: Floats
    meaning: Floats | None = None
    title_meaning: Floats | None = None

    def by_words(self) -> Seen:
        """The same without meaning."""
        return Seen(self.words, self.title_words)

    def of(self, some: NDArray[np.intp]) -> Seen:
        """Those of some passages alone, by their numbers."""
        fields = (self.words, self.title_words, self.meaning, self.title_meaning)
        words, title, *meaning = (None if one is None else one[some] for one in fields)
        assert words is not None
        assert title is not None
        return Seen(words, title, *meaning)


@dataclass(frozen=True)
class Reranker:
    """Coefficients for words alone and with meaning; `background` is the cosine of what does not belong together.

    A correction of a question reaches others whose cosine with it is at least `reach`; `lessons` counts the pairs
    that taught the coefficients.
    """

    words_alone: tuple[float, ...] = WORDS_ALONE
    meaning_too: tuple[float, ...] = MEANING_TOO
    share: float = SHARE
    background: float = 0.0
    reach: float = REACH
    lessons: int = 0

    def fused(self, seen: Seen) -> Floats:
        """[n] the score that picks the candidates."""
        return seen.words if seen.meaning is None else fuse(seen.words, seen.meaning, self.share)

    def chances(self, seen: Seen) -> Floats:
        """[n] in [0, 1] of each of the few passages in `seen`."""
        weights = self.words_alone if seen.meaning is None else self.meaning_too
        logits = features(seen, self.fused(seen)) @ np.array(weights, np.float32)
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "format": FORMAT,
            "features": list(NAMES),
            "words": list(self.words_alone),
            "meaning": list(self.meaning_too),
            "share": self.share,
            "background": self.background,
            "reach": self.reach,
            "lessons": self.lessons,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Reranker:
        """The reranker that `to_json` wrote; raises ArtifactError where it is damaged or foreign."""
        try:
            if found["format"] != FORMAT or tuple(found["features"]) != NAMES:
                raise ValueError("its format is another")
            sets = [tuple(float(value) for value in found[name]) for name in ("words", "meaning")]
            numbers = [*sets[0], *sets[1], *(found[name] for name in _NUMBERS)]
            if not np.isfinite(numbers).all() or any(len(some) != len(NAMES) for some in sets):
                raise ValueError("it holds what it cannot")
            share, background, reach = (float(found[name]) for name in _NUMBERS)
            return cls(sets[0], sets[1], share, background, reach, int(found["lessons"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"the reranker is damaged: {error}.", cure="Turn again: headrace turn"
            ) from error


def features(seen: Seen, fused: Floats) -> Floats:
    """[n, features] of n passages side by side, whose fused scores are `fused` [n]."""
    zero = np.zeros(len(fused), np.float32)
    meaning = zero if seen.meaning is None else seen.meaning
    title = zero if seen.title_meaning is None else seen.title_meaning
    ranks = np.empty(len(fused), np.float32)
    ranks[np.argsort(-fused, kind="stable")] = np.arange(1, len(fused) + 1)
    columns = [
        zero + 1,
        seen.words,
        _gap(seen.words),
        meaning,
        _gap(meaning),
        title,
        seen.title_words,
        np.float32(1) / ranks,
        seen.words * meaning,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _gap(scores: Floats) -> Floats:
    """[n] how far each is above the best other; 0 where there is no other."""
    if len(scores) < 2:
        return np.zeros_like(scores)
    best, second = np.sort(scores)[::-1][:2]
    return np.asarray(scores - np.where(scores == best, second, best), dtype=np.float32)


def fit(
    rows: Floats, right: NDArray[np.bool_], start: Sequence[float], *, pull: float = 1.0
) -> tuple[float, ...]:
    """Coefficients by logistic regression (Newton's method), pulled towards `start` as by `pull` rows a feature.

    `rows` [n, features]; `right` [n] says which passages were the ones. The more rows, the less `start` counts.
    """
    x, y = rows.astype(np.float64), right.astype(np.float64)
    origin = np.array(start, np.float64)
    weights = origin.copy()
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (chance - y) + pull * (weights - origin)
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + pull * np.eye(len(origin))
        step = np.linalg.solve(curvature, gradient)
        length = float(np.abs(step).max())
        weights = weights - step * min(1.0, 2.0 / max(length, 1e-12))
        if length < 1e-6:
            break
    return tuple(float(value) for value in weights)
