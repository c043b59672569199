"""How far a correction reaches: when two questions are the same to a task.

A correction of question q decides question x where three things hold.

* The adapter sees the same intent in both: the affinity of its two score distributions (Bhattacharyya 1943,
  the sum of sqrt(p q)) is at least `AGREEMENT`. A near-miss, the same words with another intent, fails here.
* They lie nearer than most pairs of the task's questions do (cosine after removing the task's mean).
* q is near to x by comparison with the examples that x's intent was learned from. Cosines alone say little:
  where a task has many examples, every question is close to something. So the measure is

      SHARPNESS * cos(x, q) - NOVELTY * log density(x) + TRUST * log affinity

  with density(x) the mean of p_x(label of r) * exp(SHARPNESS * cos(x, r)) over examples r of the task: a kernel
  density (Parzen 1962) within the intent, which normalises the distances as local scaling does (Zelnik-Manor
  and Perona 2004; Conneau et al. 2018). Where examples are dense the adapter knows better; where they are
  silent the correction speaks.

The threshold of the measure is the one at which, among the task's own training examples, correcting one
changes `SHARE` of the others. The four constants were chosen on rewordings written for training examples.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.errors import ArtifactError

Floats = NDArray[np.float32]

SHARE = 0.004
"""Share of a task's other questions that one correction may change."""

AGREEMENT = 0.6
SHARPNESS = 12.0
NOVELTY = 1.75
TRUST = 2.0
REFERENCES = 2000
"""Examples that the density is taken over, at most."""

FEWEST = 50
"""Training examples below which nothing is learned, so that a correction reaches the same text alone."""

_ASKED, _CORRECTED = 3000, 600
_FAR_SHARE = 0.8
_SEEN = 0.01
_FLOOR = 1e-9
_FORMAT = "headrace-radius-1"


class Reach(Protocol):
    """Decides which corrections reach a question."""

    def view(self, embedding: Floats) -> Floats:
        """[d] what is compared of an embedding [d]."""
        ...

    def margins(
        self, similarity: Floats, affinity: Floats, view: Floats, scores: Mapping[str, float]
    ) -> Floats:
        """[n] of how well n corrections reach a question; those that do not are below 0.

        `similarity` [n] is the cosine of the views, `affinity` [n] that of the scores; `view` and `scores` are
        the question's.
        """
        ...


@dataclass(frozen=True)
class Fixed:
    """A correction reaches questions whose embedding has at least this cosine, and whose scores agree."""

    cosine: float

    def view(self, embedding: Floats) -> Floats:
        """The embedding as it is."""
        return embedding

    def margins(
        self, similarity: Floats, affinity: Floats, view: Floats, scores: Mapping[str, float]
    ) -> Floats:
        """[n] cosine above the threshold."""
        return np.where(affinity >= AGREEMENT, similarity - np.float32(self.cosine), np.float32(-1))


@dataclass(frozen=True, eq=False)
class Radius:
    """Learned from a task's training examples; `threshold` None reaches the same text alone.

    `mean` [d] is removed from embeddings; `references` holds examples by label, int8 [n_k, d] of unit length
    times `step`; `far` is the cosine below which nothing reaches.
    """

    mean: Floats
    references: Mapping[str, NDArray[np.int8]]
    step: float
    far: float
    threshold: float | None

    @classmethod
    def learn(
        cls,
        embeddings: Floats,
        labels: Sequence[str],
        scores: Floats,
        names: Sequence[str],
        *,
        seed: int,
        share: float = SHARE,
    ) -> Radius:
        """Learn from n training examples of one task.

        `embeddings` [n, d] float32 of norm 1 and `scores` [n, K] probabilities over the labels `names`, both of
        the adapter that serves; `labels` [n] the examples' own. Nothing is changed by examples of other tasks,
        and the same arguments give the same radius.
        """
        random = np.random.default_rng(seed)
        mean = embeddings.mean(0) if len(embeddings) else np.zeros(embeddings.shape[1], np.float32)
        if len(embeddings) < FEWEST:
            return cls(mean, {}, 1.0, 1.0, None)
        views = _views(embeddings, mean)
        kept = np.sort(random.permutation(len(views))[:REFERENCES])
        step = float(np.abs(views[kept]).max()) / 127
        packed = np.rint(views[kept] / step).astype(np.int8)
        chosen = np.array([labels[i] for i in kept])
        references = {str(label): packed[chosen == label] for label in sorted(set(chosen.tolist()))}
        untried = cls(mean, references, step, -1.0, 0.0)
        far, threshold = _simulate(untried, views, scores, names, labels, set(kept.tolist()), share, random)
        return cls(mean, references, step, far, threshold)

    def view(self, embedding: Floats) -> Floats:
        """[d] of length 1: the embedding without the task's mean."""
        return np.asarray(_views(embedding[None], self.mean)[0])

    def margins(
        self, similarity: Floats, affinity: Floats, view: Floats, scores: Mapping[str, float]
    ) -> Floats:
        """[n] of the measure above its threshold."""
        near = (affinity >= AGREEMENT) & (similarity >= self.far)
        if self.threshold is None or not near.any():
            return np.full(len(similarity), -np.inf, np.float32)
        measured = _measure(similarity, affinity, self.density(view, scores))
        return np.where(near, measured - np.float32(self.threshold), np.float32(-np.inf))

    def density(self, view: Floats, scores: Mapping[str, float], without: str | None = None) -> float:
        """log of how densely examples of the question's own intent lie about it.

        `without` names the label of a reference that is the question itself, and does not count.
        """
        total = 0.0
        for label, probability in scores.items():
            rows = self._unpacked.get(label) if probability >= _SEEN else None
            if rows is not None:
                total += probability * float(np.exp(SHARPNESS * (rows @ view)).sum())
        if without is not None:
            total -= scores.get(without, 0.0) * float(np.exp(SHARPNESS))
        return float(np.log(max(total, 0.0) / max(self._count - (without is not None), 1) + _FLOOR))

    def to_json(self) -> dict[str, object]:
        """A JSON object, about 1.4 bytes a number of the references."""
        return {
            "format": _FORMAT,
            "mean": _text(self.mean.astype("<f4")),
            "references": {label: _text(rows) for label, rows in self.references.items()},
            "step": self.step,
            "far": self.far,
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Radius:
        """The radius that `to_json` wrote; raises ArtifactError where it is damaged or foreign."""
        try:
            return _read(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"the memory's radius is damaged: {error}.", cure="Train again, or restore it from a backup."
            ) from error

    @cached_property
    def _unpacked(self) -> dict[str, Floats]:
        return {label: rows * np.float32(self.step) for label, rows in self.references.items()}

    @cached_property
    def _count(self) -> int:
        return sum(len(rows) for rows in self.references.values())


def affinity(scores: Floats, others: Floats) -> Floats:
    """Bhattacharyya affinity of square roots of probabilities: [n, K] and [K] -> [n]; 1 where equal."""
    return np.asarray(others @ scores)


def _simulate(
    radius: Radius,
    views: Floats,
    scores: Floats,
    names: Sequence[str],
    labels: Sequence[str],
    kept: set[int],
    share: float,
    random: np.random.Generator,
) -> tuple[float, float]:
    """The far cosine and the threshold at which correcting one training row changes `share` of the others."""
    asked = random.permutation(len(views))[:_ASKED]
    corrected = random.permutation(len(views))[:_CORRECTED]
    density = np.array(
        [
            radius.density(
                views[i], dict(zip(names, scores[i].tolist(), strict=True)), labels[i] if i in kept else None
            )
            for i in asked.tolist()
        ],
        np.float32,
    )
    roots = np.sqrt(scores)
    similarity, agreed = views[corrected] @ views[asked].T, roots[corrected] @ roots[asked].T
    measured = _measure(similarity, agreed, density)
    other = corrected[:, None] != asked[None, :]
    far = float(np.quantile(similarity[other], _FAR_SHARE))
    measured[(agreed < AGREEMENT) | (similarity < far)] = -np.inf
    ranked = np.sort(measured[other])[::-1]
    threshold = float(ranked[min(int(share * len(ranked)), len(ranked) - 1)])
    return far, threshold if np.isfinite(threshold) else float(
        ranked[np.isfinite(ranked)].min(initial=np.inf)
    )


def _measure(similarity: Floats, agreed: Floats, density: Floats | float) -> Floats:
    trusted = TRUST * np.log(np.maximum(agreed, np.float32(_FLOOR)))
    return np.asarray(SHARPNESS * similarity - NOVELTY * density + trusted, dtype=np.float32)


def _views(embeddings: Floats, mean: Floats) -> Floats:
    moved = embeddings - mean
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(moved / np.maximum(lengths, np.float32(1e-6)), dtype=np.float32)


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _read(found: Mapping[str, Any]) -> Radius:
    if found["format"] != _FORMAT:
        raise ValueError(f"its format is {found['format']!r}")
    mean = np.frombuffer(base64.b64decode(found["mean"], validate=True), "<f4").astype(np.float32)
    references = {
        str(label): np.frombuffer(base64.b64decode(text, validate=True), np.int8).reshape(-1, len(mean))
        for label, text in found["references"].items()
    }
    step, far = float(found["step"]), float(found["far"])
    threshold = None if found["threshold"] is None else float(found["threshold"])
    if not np.isfinite([step, far, threshold or 0.0, *mean]).all() or step <= 0:
        raise ValueError("it holds what it cannot")
    return Radius(mean, references, step, far, threshold)
