"""How far a correction reaches: when two questions are the same to a task.

A correction of question q decides question x where three things hold.

* Both are of one intent, as far as their distance warrants: the agreement of what is said of them is at least
  1 - `DOUBT` - `LEEWAY` * (1 - cos(x, q))^4. A near-miss, the same words with another intent, fails here: so
  near, the same should be said. Agreement is the affinity (Bhattacharyya 1943, the sum of sqrt(p q)) of the
  adapter's scores, times the root of that of the votes that the task's examples give by their nearness.
* They lie nearer than most pairs of the task's questions do (cosine after removing the task's mean).
* q is near to x by comparison with the examples that x's intent was learned from. Cosines alone say little:
  where a task has many examples, every question is close to something. So the measure is

      SHARPNESS * cos(x, q) - novelty * log density(x) + TRUST * log affinity of the scores

  with density(x) the mean of p_x(label of r) * exp(SHARPNESS * cos(x, r)) over examples r of the task: a
  kernel density (Parzen 1962) within the intent, which scales distances locally (Zelnik-Manor and Perona
  2004; Conneau et al. 2018). Where examples are dense the adapter knows better; where they are silent the
  correction speaks, and the more examples a label has, the more their silence says: novelty grows with them.

The threshold of the measure is the one at which, among the task's own training examples, correcting one
changes `SHARE` of the others. Many corrections each reach less far, so that all of a channel's together change
at most `TOGETHER` of its other questions: what one changes by mistake is rarely wrong for one question alone.
The constants were chosen on rewordings written for training examples.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.errors import ArtifactError
from headrace.feedback.held_out import held_out_scores

Floats = NDArray[np.float32]

SHARE = 0.0043
"""Share of a task's other questions that one correction may change."""

TOGETHER = 0.02
"""Share of a task's other questions that all corrections of a channel may change together."""

LADDER = tuple(SHARE / 2**step for step in range(9))
"""Shares for which a threshold is learned; beyond the last, a correction reaches the same text alone."""

DOUBT = 0.1
LEEWAY = 2.0
VOTE = 8.0
SHARPNESS = 12.0
NOVELTY = (0.75, 1.5)
"""Least and most weight of the density; between them, a label's examples on average by `PER_LABEL`."""

PER_LABEL = 65
TRUST = 2.0
REFERENCES = 2000
"""Examples that the density is taken over, at most."""

FEWEST = 50
"""Training examples below which nothing is learned, so that a correction reaches the same text alone."""

_MOST, _ASKED, _CORRECTED = 20_000, 3000, 600
_FAR_SHARE = 0.8
_FLOOR = 1e-9
_SEEN = 0.01
_VOTER = 4
_FORMAT = "headrace-radius-1"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """n corrections beside a question: cosine of the views [n], affinity of the scores [n], votes [n, L].

    `crowd` [n] says among how many corrections each shares what they may change together; None among all n.
    """

    similarity: Floats
    affinity: Floats
    votes: Floats
    crowd: Floats | None = None


class Reach(Protocol):
    """Decides which corrections reach a question."""

    def view(self, embedding: Floats) -> Floats:
        """[d] what is compared of an embedding [d]."""
        ...

    def votes(self, view: Floats) -> Floats:
        """[L] what the task's examples say of a view, by label: square roots, of length 1."""
        ...

    def margins(self, found: Found, view: Floats, scores: Mapping[str, float]) -> Floats:
        """[n] of how well n corrections reach the question of `view` and `scores`; below 0 they do not."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A correction reaches questions whose embedding has at least this cosine, and whose scores agree."""

    cosine: float

    def view(self, embedding: Floats) -> Floats:
        """The embedding as it is."""
        return embedding

    def votes(self, view: Floats) -> Floats:
        """No examples, no votes."""
        return np.zeros(0, np.float32)

    def margins(self, found: Found, view: Floats, scores: Mapping[str, float]) -> Floats:
        """[n] cosine above the threshold."""
        above = found.similarity - np.float32(self.cosine)
        reached = agrees(found.similarity, found.affinity)
        if found.crowd is not None:
            reached &= np.isfinite(found.crowd)
        return np.where(reached, above, np.float32(-1))


@dataclass(frozen=True, eq=False)
class Radius:
    """Learned from a task's training examples; without `thresholds` a correction reaches the same text alone.

    `thresholds` are those of `LADDER`, rising. `mean` [d] is removed from embeddings; `references` holds examples
    by label, int8 [n_k, d] of unit length divided by `step`; `far` is the cosine below which nothing reaches.
    """

    mean: Floats
    references: Mapping[str, NDArray[np.int8]]
    step: float
    novelty: float
    far: float
    thresholds: tuple[float, ...]

    @classmethod
    def learn(cls, embeddings: Floats, labels: Sequence[str], *, seed: int) -> Radius:
        """Learn from n training examples of one task: `embeddings` [n, d] float32 of norm 1, and `labels` [n].

        The embeddings are those that the serving adapter reads. The same arguments give the same radius.
        """
        random = np.random.default_rng(seed)
        names = sorted(set(labels))
        if len(embeddings) < FEWEST or len(names) < 2:
            return cls(np.zeros(embeddings.shape[1], np.float32), {}, 1.0, 0.0, 1.0, ())
        taken = random.permutation(len(embeddings))[:_MOST]
        mean = np.asarray(embeddings[taken].mean(0), dtype=np.float32)
        views = _views(embeddings[taken], mean)
        y = np.searchsorted(names, [labels[i] for i in taken.tolist()])
        kept = np.arange(min(len(views), REFERENCES))
        kept = kept[np.argsort(y[kept], kind="stable")]
        step = float(np.abs(views[kept]).max()) / 127
        packed = np.rint(views[kept] / step).astype(np.int8)
        references = {name: packed[y[kept] == k] for k, name in enumerate(names)}
        novelty = float(np.clip(len(embeddings) / len(names) / PER_LABEL, *NOVELTY))
        far, thresholds = _simulate(views, y, kept, novelty, random)
        return cls(mean, references, step, novelty, far, thresholds)

    def relabelled(self, names: Mapping[str, str]) -> Radius:
        """The radius with other names for labels; those that get one name share their examples."""
        found: dict[str, list[NDArray[np.int8]]] = {}
        for label, rows in self.references.items():
            found.setdefault(names.get(label, label), []).append(rows)
        return replace(self, references={label: np.concatenate(rows) for label, rows in found.items()})

    def view(self, embedding: Floats) -> Floats:
        """[d] of length 1: the embedding without the task's mean."""
        return np.asarray(_views(embedding[None], self.mean)[0])

    def votes(self, view: Floats) -> Floats:
        """[L] square roots of the share of each label among the examples, weighted by exp(VOTE * cos)."""
        matrix, starts = self._voters
        return _votes((matrix @ view)[None], starts)[0] if len(starts) else np.zeros(0, np.float32)

    def margins(self, found: Found, view: Floats, scores: Mapping[str, float]) -> Floats:
        """[n] of the measure above its threshold; -inf where the intents disagree or the distance is far."""
        margins = np.full(len(found.similarity), -np.inf, np.float32)
        near = np.flatnonzero(agrees(found.similarity, found.affinity) & (found.similarity >= self.far))
        if not len(near) or not self.thresholds:
            return margins
        crowd = np.full(len(margins), len(margins), np.float32) if found.crowd is None else found.crowd
        voted = np.sqrt(found.votes[near] @ self.votes(view))
        near = near[agrees(found.similarity[near], found.affinity[near] * voted)]
        density = self.novelty * np.float32(self.density(view, scores))
        measured = _measure(found.similarity[near], found.affinity[near], density)
        margins[near] = measured - self._limits(crowd[near])
        return margins

    def _limits(self, crowd: Floats) -> Floats:
        """Thresholds when so many corrections share `TOGETHER`; inf where each reaches its text alone."""
        falling = -np.array(LADDER[: len(self.thresholds)])
        places = np.searchsorted(falling, -TOGETHER / np.maximum(crowd, 1))
        return np.array([*self.thresholds, np.inf], np.float32)[places]

    def density(self, view: Floats, scores: Mapping[str, float]) -> float:
        """log of how densely examples of the question's own intent lie about it."""
        total = 0.0
        for label, probability in scores.items():
            rows = self._unpacked.get(label) if probability >= _SEEN else None
            if rows is not None:
                total += probability * float(np.exp(SHARPNESS * (rows @ view)).sum())
        return math.log(total / max(self._count, 1) + _FLOOR)

    def to_json(self) -> dict[str, object]:
        """A JSON object, about 1.4 bytes a number of the references."""
        return {
            "format": _FORMAT,
            "mean": _text(self.mean.astype("<f4")),
            "references": {label: _text(rows) for label, rows in self.references.items()},
            "step": self.step,
            "novelty": self.novelty,
            "far": self.far,
            "thresholds": list(self.thresholds),
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

    @cached_property
    def _voters(self) -> tuple[Floats, NDArray[np.intp]]:
        """Every `_VOTER`th reference, label by label, and where each label's begin."""
        rows = list(self._unpacked.values()) or [np.zeros((0, len(self.mean)), np.float32)]
        of = np.repeat(np.arange(len(rows)), [len(some) for some in rows])[::_VOTER]
        return np.ascontiguousarray(np.concatenate(rows)[::_VOTER]), np.unique(of, return_index=True)[1]


def affinity(scores: Floats, others: Floats) -> Floats:
    """[n] Bhattacharyya affinity of square roots of probabilities, [K] with each of [n, K]; 1 where equal."""
    return np.asarray(others @ scores)


def agrees(similarity: Floats, affinity: Floats) -> NDArray[np.bool_]:
    """Whether scores are as alike as the distance warrants, element by element."""
    squared = np.square(np.maximum(1 - similarity, 0))
    return np.asarray(affinity >= 1 - DOUBT - LEEWAY * squared * squared)


def _simulate(
    views: Floats,
    y: NDArray[np.intp],
    kept: NDArray[np.intp],
    novelty: float,
    random: np.random.Generator,
) -> tuple[float, tuple[float, ...]]:
    """The cosine that is far, and the thresholds at which correcting a row changes the shares of `LADDER`.

    `kept` are the rows that are references, label by label; a row is left out of what is said of it.
    """
    scores = held_out_scores(views, y, int(y.max()) + 1)
    asked = random.permutation(len(views))[:_ASKED]
    corrected = random.permutation(len(views))[:_CORRECTED]
    said, known = _seen_by(views, kept, asked), _seen_by(views, kept[::_VOTER], corrected)
    density = _densities(said, scores[asked], y[kept])
    similarity, roots = views[corrected] @ views[asked].T, np.sqrt(scores)
    agreed = roots[corrected] @ roots[asked].T
    starts = np.unique(y[kept[::_VOTER]], return_index=True)[1]
    voted = np.sqrt(_votes(known, starts) @ _votes(said[:, ::_VOTER], starts).T)
    other = corrected[:, None] != asked[None, :]
    far = float(np.quantile(similarity[other], _FAR_SHARE))
    reached = agrees(similarity, agreed * voted) & (similarity >= far)
    measured = np.where(reached, _measure(similarity, agreed, novelty * density), -np.inf)
    return far, _exceeded_by(LADDER, measured[other])


def _seen_by(views: Floats, kept: NDArray[np.intp], rows: NDArray[np.intp]) -> Floats:
    """[n, R] cosines of rows with the references; -inf where a reference is the row itself."""
    cosines = views[rows] @ views[kept].T
    cosines[rows[:, None] == kept[None, :]] = -np.inf
    return np.asarray(cosines)


def _votes(cosines: Floats, starts: NDArray[np.intp]) -> Floats:
    """[n, L] square roots of label shares among references with these cosines [n, R]."""
    given = np.add.reduceat(np.exp(np.float32(VOTE) * cosines), starts, axis=1)
    return np.asarray(np.sqrt(given / given.sum(1, keepdims=True)), dtype=np.float32)


def _densities(cosines: Floats, scores: Floats, y: NDArray[np.intp]) -> Floats:
    """[n] log densities as `Radius.density` has them: cosines [n, R] with references of classes y [R]."""
    kernel = np.exp(np.float32(SHARPNESS) * cosines) * np.where(scores >= _SEEN, scores, 0)[:, y]
    count = np.maximum(np.isfinite(cosines).sum(1), 1)
    return np.asarray(np.log(kernel.sum(1) / count + _FLOOR), dtype=np.float32)


def _exceeded_by(shares: Sequence[float], measured: Floats) -> tuple[float, ...]:
    """What each share of the values exceed, or the least that is finite; nothing where none is."""
    ranked = np.sort(measured)[::-1]
    finite = int(np.isfinite(ranked).sum())
    return (
        tuple(float(ranked[min(int(share * len(ranked)), finite - 1)]) for share in shares) if finite else ()
    )


def _measure(similarity: Floats, agreed: Floats, density: Floats | np.float32) -> Floats:
    trusted = TRUST * np.log(np.maximum(agreed, np.float32(_FLOOR)))
    return np.asarray(SHARPNESS * similarity - density + trusted, dtype=np.float32)


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
    step, novelty, far = (float(found[name]) for name in ("step", "novelty", "far"))
    thresholds = tuple(float(value) for value in found["thresholds"])
    if not np.isfinite([step, novelty, far, *thresholds, *mean]).all() or step <= 0:
        raise ValueError("it holds what it cannot")
    return Radius(mean, references, step, novelty, far, thresholds)
