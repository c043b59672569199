"""Where in meaning a correction lies, and which others lie near it.

Two corrections are in one region where the cosine of their views (`Radius.view`) is among the highest `SHARE` of
all pairs of the task's own examples. They speak of the same question where it is higher still: so high that
`PURE` of such pairs of examples carry one label. Without examples a region is the same text alone.

An embedding is kept in 8 bits a number, beside the name of its space: embeddings of two adapters are not
compared, their texts are.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from headrace.data.texts import text_key
from headrace.feedback.radius import Fixed, Floats, Radius, Reach

SHARE = 0.004
"""Share of the pairs of a task's examples that lie in one region."""

PURE = 0.95
"""Share of pairs with one label beyond the cosine from which two questions count as the same."""

_LEARNED = 1500
_APART = 2.0  # above every cosine
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text lies: an `embedding` [d] of norm 1, int8 as base64, in the embeddings' `space`."""

    space: str
    embedding: str

    @classmethod
    def of(cls, space: str, embedding: Floats) -> Place:
        """The place of an embedding; its name of a space is the adapter that made it."""
        scaled = np.rint(127 * embedding / max(float(np.abs(embedding).max()), 1e-6))
        return cls(space, base64.b64encode(scaled.astype(np.int8).tobytes()).decode("ascii"))


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """How near is near in a task: `near` and `same` are cosines of embeddings without their `mean` [d].

    Without a `mean` nothing lies anywhere, and a region is the same text alone.
    """

    near: float = _APART
    same: float = _APART
    mean: Floats | None = None

    def views(self, places: Sequence[tuple[str | None, str | None]], space: str | None) -> Floats | None:
        """[n, d] views of (space, embedding), zeros for those in other spaces; None where none is known."""
        if self.mean is None or space is None:
            return None
        here = np.array([one == space for one, _ in places], dtype=bool)
        packed = b"".join(base64.b64decode(text or "") for one, text in places if one == space)
        views = np.zeros((len(places), len(self.mean)), np.float32)
        if packed:
            found = np.frombuffer(packed, np.int8).reshape(int(here.sum()), -1).astype(np.float32)
            views[here] = _unit(_unit(found) - self.mean)
        return views


def regions_of(reach: Reach | None, width: int = 0) -> Regions:
    """The regions of a task whose corrections have this reach; `width` is that of its embeddings."""
    if isinstance(reach, Fixed):
        return Regions(reach.cosine, reach.cosine, np.zeros(width, np.float32))
    if not isinstance(reach, Radius) or not reach.thresholds:
        return Regions()
    return _of_radius(reach)


@lru_cache(maxsize=64)
def _of_radius(reach: Radius) -> Regions:
    rows = [some.astype(np.float32) for some in reach.references.values()]
    labels = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
    return Regions(*_learned(_unit(np.concatenate(rows)), labels), reach.mean)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-6)))


def _learned(examples: Floats, labels: NDArray[np.intp]) -> tuple[float, float]:
    """The cosines from which two questions are near each other, and from which they are the same."""
    step = max(1, -(-len(examples) // _LEARNED))
    kept, of = examples[::step], labels[::step]
    pairs = np.triu_indices(len(kept), 1)
    cosines = (kept @ kept.T)[pairs]
    order = np.argsort(-cosines, kind="stable")[: max(1, int(SHARE * len(cosines)))]
    ranked = cosines[order]
    agreed = np.cumsum(of[pairs[0][order]] == of[pairs[1][order]])
    pure = np.flatnonzero(agreed >= PURE * np.arange(1, len(order) + 1))
    near = float(ranked[-1])
    return near, float(ranked[pure[-1]]) if len(pure) else _APART


def alike(views: Floats | None, keys: Sequence[str], of: int, least: float) -> Bools:
    """[n] whether each lies at least so near to number `of`, or has the same text."""
    own = np.array([key == keys[of] for key in keys], dtype=bool)
    return own if views is None else own | (views @ views[of] >= least)


@lru_cache(maxsize=20_000)
def key_of(text: str) -> str:
    """By what the texts of two corrections are the same."""
    return text_key(text)
