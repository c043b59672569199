"""How far a correction reaches: when two questions are the same to a task.

A correction of question q decides question x where three things hold.

* The adapter sees the same intent in both: the affinity of its two score distributions (Bhattacharyya 1943,
  the sum of sqrt(p q)) is at least `AGREEMENT`. A near-miss, the same words with another intent, fails here.
* They lie nearer than most pairs of the task's questions do (cosine after removing the task's mean).
* q is near to x by comparison with the examples that x's intent was learned from. Cosines alone say little:
  where a task has many examples, every question is close to something. So the measure is

      SHARPNESS * cos(x, q) - NOVELTY * log density(x) + TRUST * log affinity

  with density(x) the mean of p_x(label of r) * exp(SHARPNESS * cos(x, r)) over examples r of the task: a
  kernel density (Parzen 1962) within the intent, which scales distances locally (Zelnik-Manor and Perona
  2004; Conneau et al. 2018). Where examples are dense the adapter knows better; where they are silent the
  correction speaks.

The threshold of the measure is the one at which, among the task's own training examples, correcting one
changes `SHARE` of the others. The constants were chosen on rewordings written for training examples.
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
from headrace.feedback.held_out import held_out_scores

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

_MOST, _ASKED, _CORRECTED = 20_000, 3000, 600
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

        `similarity` [n] is the cosine of the views, `affinity` [n] that of the scores; `view` and `scores`
        are the question's.
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
    divided by `step`; `far` is the cosine below which nothing reaches.
    """

    mean: Floats
    references: Mapping[str, NDArray[np.int8]]
    step: float
    far: float
    threshold: float | None

    @classmethod
    def learn(cls, embeddings: Floats, labels: Sequence[str], *, seed: int, share: float = SHARE) -> Radius:
        """Learn from n training examples of one task: `embeddings` [n, d] float32 of norm 1, and `labels` [n].

        The embeddings are those that the serving adapter reads. The same arguments give the same radius.
        """
        random = np.random.default_rng(seed)
        names = sorted(set(labels))
        if len(embeddings) < FEWEST or len(names) < 2:
            return cls(np.zeros(embeddings.shape[1], np.float32), {}, 1.0, 1.0, None)
        taken = random.permutation(len(embeddings))[:_MOST]
        mean = np.asarray(embeddings[taken].mean(0), dtype=np.float32)
        views = _views(embeddings[taken], mean)
        y = np.searchsorted(names, [labels[i] for i in taken.tolist()])
        kept = np.arange(min(len(views), REFERENCES))
        kept = kept[np.argsort(y[kept], kind="stable")]
        step = float(np.abs(views[kept]).max()) / 127
        packed = np.rint(views[kept] / step).astype(np.int8)
        references = {name: packed[y[kept] == k] for k, name in enumerate(names)}
        far, threshold = _simulate(views, y, kept, packed * np.float32(step), share, random)
        return cls(mean, references, step, far, threshold)

    def view(self, embedding: Floats) -> Floats:
        """[d] of length 1: the embedding without the task's mean."""
        return np.asarray(_views(embedding[None], self.mean)[0])

    def margins(
        self, similarity: Floats, affinity: Floats, view: Floats, scores: Mapping[str, float]
    ) -> Floats:
        """[n] of the measure above its threshold; -inf where the scores disagree or the distance is far."""
        near = (affinity >= AGREEMENT) & (similarity >= self.far)
        if self.threshold is None or not near.any():
            return np.full(len(similarity), -np.inf, np.float32)
        measured = _measure(similarity, affinity, self.density(view, scores))
        return np.where(near, measured - np.float32(self.threshold), np.float32(-np.inf))

    def density(self, view: Floats, scores: Mapping[str, float]) -> float:
        """log of how densely examples of the question's own intent lie about it."""
        total = 0.0
        for label, probability in scores.items():
            rows = self._unpacked.get(label) if probability >= _SEEN else None
            if rows is not None:
                total += probability * float(np.exp(SHARPNESS * (rows @ view)).sum())
        return float(np.log(total / max(self._count, 1) + _FLOOR))

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
    """[n] Bhattacharyya affinity of square roots of probabilities, [K] with each of [n, K]; 1 where equal."""
    return np.asarray(others @ scores)


def _simulate(
    views: Floats,
    y: NDArray[np.intp],
    kept: NDArray[np.intp],
    references: Floats,
    share: float,
    random: np.random.Generator,
) -> tuple[float, float | None]:
    """The cosine that is far, and the threshold at which correcting a row changes `share` of the others."""
    scores = held_out_scores(views, y, int(y.max()) + 1)
    asked = random.permutation(len(views))[:_ASKED]
    corrected = random.permutation(len(views))[:_CORRECTED]
    roots = np.sqrt(scores)
    similarity, agreed = views[corrected] @ views[asked].T, roots[corrected] @ roots[asked].T
    weights = np.where(scores >= _SEEN, scores, 0)[asked][:, y[kept]]
    itself = asked[:, None] == kept[None, :]
    measured = _measure(similarity, agreed, _densities(views[asked], references, weights, itself))
    other = corrected[:, None] != asked[None, :]
    far = float(np.quantile(similarity[other], _FAR_SHARE))
    measured[(agreed < AGREEMENT) | (similarity < far)] = -np.inf
    return far, _exceeded_by(share, measured[other])


def _densities(views: Floats, references: Floats, weights: Floats, itself: NDArray[np.bool_]) -> Floats:
    """[n] log densities as `Radius.density` has them, a row that is a reference left out of its own."""
    kernel = np.exp(np.float32(SHARPNESS) * (views @ references.T)) * weights
    kernel[itself] = 0
    count = len(references) - itself.sum(1)
    return np.asarray(np.log(kernel.sum(1) / np.maximum(count, 1) + _FLOOR), dtype=np.float32)


def _exceeded_by(share: float, measured: Floats) -> float | None:
    """What `share` of the values exceed, or the least that is finite; None where none is."""
    ranked = np.sort(measured)[::-1]
    finite = int(np.isfinite(ranked).sum())
    return float(ranked[min(int(share * len(ranked)), finite - 1)]) if finite else None


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
