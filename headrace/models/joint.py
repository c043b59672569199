"""The joint head: one logistic regression over the frozen embedding and the channel's own n-grams.

Fitted whole, pruned to the weights that matter, refitted under that mask, put in 8 bits. The embedding is
centred on the training rows while fitting and scaled so that what is left of it has norm 1, as the n-grams
have; centre and scale fold into the dense weights, so an adapter knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize_scalar
from threadpoolctl import threadpool_limits

from headrace.models.adapter import Head, eight_bits
from headrace.models.ngrams import BUCKETS, NgramOptions, inverse_frequency, weighted
from headrace.models.solver import minimise

Floats = NDArray[np.float32]
ROUNDS, REFIT = 30, 25
"""Rounds of the solver at most: over all columns to see which matter, then under the mask."""
CURVED = 0.01
"""Curvature of a loss at a weight over the column's sum of squares, roughly: p (1 - p)."""
ROOMY = 4
"""Times more weights than are kept from which n-grams of a single row are not looked at."""


@dataclass(frozen=True)
class JointOptions:
    """`strength` is C, the weight of the losses' sum against the L2 penalty; `weights` are kept at most."""

    strength: float = 30.0
    weights: int = 20_000
    embedding_weight: float | None = None
    ngrams: NgramOptions = field(default_factory=NgramOptions)


@dataclass(frozen=True)
class _Columns:
    """The n-gram columns in play: sorted keys, the idf of every bucket, and the weights to start from."""

    keys: NDArray[np.int64]
    idf: NDArray[np.uint8]
    start: Floats
    fixed: NDArray[np.bool_]


def fit_joint(
    embeddings: Floats,
    counts: sparse.csr_matrix,
    y: NDArray[np.int64],
    weights: Floats,
    labels: tuple[str, ...],
    options: JointOptions,
    start: Head | None = None,
) -> Head:
    """A head for rows with `embeddings` [n, d] of norm 1 (d may be 0), n-gram `counts` [n, 2^16] and labels.

    `weights` [n] count a row more or less. With `start`, the penalty pulls every weight towards that head's
    instead of towards zero, the bias too (else labels that few rows lack would vanish), and its word weights
    are never pruned.
    """
    with threadpool_limits(1):  # small products: threads would only wait for each other
        return _fit(embeddings, counts, y, weights, labels, options, start)


def _fit(
    embeddings: Floats,
    counts: sparse.csr_matrix,
    y: NDArray[np.int64],
    weights: Floats,
    labels: tuple[str, ...],
    options: JointOptions,
    start: Head | None,
) -> Head:
    many = len(labels)
    columns = _columns(counts, labels, options.weights, start)
    dense_start, bias_start = _dense_start(embeddings.shape[1], labels, start)
    scale = _scale(embeddings, y, many, options, start)
    centre = embeddings.mean(axis=0) if start is None else np.zeros(embeddings.shape[1], np.float32)
    problem = _Problem(
        np.ascontiguousarray((embeddings - centre) * np.float32(scale)),
        _words(counts, columns),
        y,
        weights,
        options.strength,
        np.concatenate([dense_start, columns.start, bias_start[None]]).astype(np.float32),
        free_bias=start is None,
    )
    fitted = problem.whole(minimise(problem, problem.start.ravel(), problem.widths(), rounds=ROUNDS))
    mask = _mask(fitted, problem, columns, options.weights)
    if not mask.all():
        columns = _pruned(columns, mask, start)
        problem, flat = _under_mask(problem, _words(counts, columns), mask, fitted)
        fitted = problem.whole(minimise(problem, flat, problem.widths(), rounds=REFIT))
    return _head(fitted, problem, columns, labels, options, scale, centre)


def fit_temperature(logits: Floats, y: NDArray[np.int64], expected: float = 1.0) -> float:
    """The temperature in [0.05, 20] under which rows not trained on are likeliest (Guo et al. 2017).

    Few rows say little, so it is held near `expected` with the weight of some ten rows.
    """
    if not len(y):
        return expected

    def loss(log_temperature: float) -> float:
        held = 10 / len(y) * (log_temperature - np.log(expected)) ** 2
        return float(losses(logits, y, float(np.exp(log_temperature))).mean() + held)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.float32(np.exp(found.x)))


def losses(logits: Floats, y: NDArray[np.int64], temperature: float) -> NDArray[np.float64]:
    """[n] negative log-likelihood of each row's label under logits over a temperature."""
    scaled = logits.astype(np.float64) / temperature
    peak = scaled.max(axis=1)
    norms = peak + np.log(np.exp(scaled - peak[:, None]).sum(axis=1))
    return np.asarray(norms - scaled[np.arange(len(y)), y])


@dataclass(frozen=True)
class _Problem:
    """Weighted cross-entropy plus a squared distance to `start`; weights are [d + V + 1, K], bias last."""

    x: Floats
    words: sparse.csr_matrix
    y: NDArray[np.int64]
    weights: Floats
    strength: float
    start: Floats
    free_bias: bool = True
    kept: NDArray[np.int64] | None = None

    def whole(self, flat: Floats) -> Floats:
        """[d + V + 1, K] of the weights that vary; the others stay where they start, at zero."""
        if self.kept is None:
            return flat.reshape(self.start.shape)
        found = self.start.copy()
        found.reshape(-1)[self.kept] = flat
        return found

    def widths(self) -> Floats:
        """A guess of the inverse Hessian's diagonal: rare words have little curvature, common ones much."""
        squares = np.bincount(
            self.words.indices, self.words.data.astype(np.float64) ** 2, minlength=self.words.shape[1]
        )
        dense = np.full(self.width, float((self.x**2).sum()) / max(1, self.width))
        curved = np.concatenate([dense, squares, [len(self.y)]]) * CURVED + 1 / self.strength
        found = np.repeat((1 / curved).astype(np.float32), self.start.shape[1])
        return found if self.kept is None else found[self.kept]

    @property
    def width(self) -> int:
        return int(self.x.shape[1])

    @cached_property
    def turned(self) -> sparse.csr_matrix:
        return sparse.csr_matrix(self.words.T)

    def __call__(self, flat: Floats) -> tuple[float, Floats]:
        """Objective over `strength` and its gradient."""
        w, d = self.whole(flat), self.width
        logits = self.x @ w[:d] + self.words @ w[d:-1] + w[-1]
        logits -= logits.max(axis=1, keepdims=True)
        raised = np.exp(logits)
        norms = raised.sum(axis=1)
        rows = np.arange(len(self.y))
        loss = float(((np.log(norms) - logits[rows, self.y]) * self.weights).sum(dtype=np.float64))
        error = raised / norms[:, None]
        error[rows, self.y] -= 1
        error *= self.weights[:, None]
        moved = (w - self.start) * np.float32(1 / self.strength)
        if self.free_bias:
            moved[-1] = 0
        gradient = np.concatenate([self.x.T @ error, self.turned @ error, error.sum(axis=0)[None]])
        gradient += moved
        penalty = 0.5 * self.strength * float(np.vdot(moved, moved))
        varying = gradient.ravel()
        return loss + penalty, varying if self.kept is None else varying[self.kept]


def _under_mask(
    problem: _Problem, words: sparse.csr_matrix, mask: NDArray[np.bool_], fitted: Floats
) -> tuple[_Problem, Floats]:
    """The problem over the columns that `mask` leaves a weight, only those varying; and where it stands."""
    d, used = problem.width, mask.any(axis=1)
    rows = np.concatenate([np.arange(d), d + np.flatnonzero(used), [len(fitted) - 1]])
    varies = np.ones((len(rows), fitted.shape[1]), bool)
    varies[d:-1] = mask[used]
    kept = np.flatnonzero(varies)
    start = np.ascontiguousarray(problem.start[rows])
    return replace(problem, words=words, start=start, kept=kept), fitted[rows].ravel()[kept]


def _words(counts: sparse.csr_matrix, columns: _Columns) -> sparse.csr_matrix:
    return sparse.csr_matrix(weighted(counts, columns.idf)[:, columns.keys])


def _columns(counts: sparse.csr_matrix, labels: tuple[str, ...], keep: int, start: Head | None) -> _Columns:
    rows = counts.getnnz(axis=0)
    seen, idf = np.flatnonzero(rows), inverse_frequency(counts)
    if len(seen) * len(labels) > ROOMY * keep:
        seen = np.flatnonzero(rows > 1)
    if start is None:
        zeros = np.zeros((len(seen), len(labels)), np.float32)
        return _Columns(seen, idf, zeros, np.zeros(zeros.shape, bool))
    keys = np.union1d(seen, start.keys.astype(np.int64))
    idf = np.where(rows > 0, idf, start.unseen).astype(np.uint8)
    idf[start.keys] = start.idf
    weights = np.zeros((len(keys), len(labels)), np.float32)
    fixed = np.zeros(weights.shape, bool)
    at = np.repeat(np.searchsorted(keys, start.keys.astype(np.int64)), np.diff(start.starts))
    to = _places(start.labels, labels)[start.columns]
    weights[at, to] = start.weights * start.scale[start.columns]
    fixed[at, to] = True
    return _Columns(keys, idf, weights, fixed)


def _dense_start(width: int, labels: tuple[str, ...], start: Head | None) -> tuple[Floats, Floats]:
    dense, bias = np.zeros((width, len(labels)), np.float32), np.zeros(len(labels), np.float32)
    if start is not None:
        to = _places(start.labels, labels)
        bias[:] = start.bias.min()
        dense[:, to], bias[to] = start.dense, start.bias
    return dense, bias


def _places(ours: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    known = {label: number for number, label in enumerate(labels)}
    return np.array([known[label] for label in ours], np.int64)


def _scale(
    embeddings: Floats, y: NDArray[np.int64], many: int, options: JointOptions, start: Head | None
) -> float:
    """The embedding's weight: given, or the start's, or what brings the centred embedding to norm 1.

    Three times that below some 20 rows a label, where words have not been seen often enough.
    """
    if start is not None:
        return start.embedding_weight
    if options.embedding_weight is not None:
        return options.embedding_weight
    if not embeddings.size:
        return 1.0
    spread = float(np.sqrt(embeddings.var(axis=0).sum()))
    few = 3.0 if len(y) < 20 * many else 1.0
    return float(np.float32(few / max(spread, 0.05)))


def _mask(fitted: Floats, problem: _Problem, columns: _Columns, keep: int) -> NDArray[np.bool_]:
    """Which word weights stay: the `keep` largest by |change| times the column's use, and the start's own."""
    change = np.abs(fitted[problem.width : -1] - columns.start)
    squares = np.bincount(
        problem.words.indices, problem.words.data.astype(np.float64) ** 2, minlength=len(columns.keys)
    )
    importance = (change * np.sqrt(squares)[:, None]).ravel()
    if importance.size <= keep:
        return np.ones(change.shape, bool)
    least = np.partition(importance, -keep)[-keep]
    large = (importance >= max(least, 1e-12)).reshape(change.shape)
    return np.asarray(large | columns.fixed)


def _pruned(columns: _Columns, mask: NDArray[np.bool_], start: Head | None) -> _Columns:
    """The columns with a weight left; others count as never seen: the largest idf, so nothing is stored."""
    used = mask.any(axis=1)
    unseen = start.unseen if start is not None else int(columns.idf.max())
    idf = np.full(BUCKETS, unseen, np.uint8)
    kept = columns.keys[used]
    idf[kept] = columns.idf[kept]
    return _Columns(kept, idf, columns.start[used], columns.fixed[used])


def _head(
    fitted: Floats,
    problem: _Problem,
    columns: _Columns,
    labels: tuple[str, ...],
    options: JointOptions,
    scale: float,
    centre: Floats,
) -> Head:
    d = problem.width
    packed, dense_scale = eight_bits(fitted[:d])
    dense = packed * dense_scale
    words, word_scale = eight_bits(fitted[d:-1])
    kept = np.flatnonzero((words != 0).any(axis=1))
    rows, labels_at = np.nonzero(words[kept])
    unseen = int(columns.idf.max())
    return Head(
        labels=labels,
        dense=dense,
        bias=(fitted[-1] - np.float32(scale) * (centre @ dense)).astype(np.float32),
        embedding_weight=scale,
        keys=columns.keys[kept].astype(np.uint16),
        idf=columns.idf[columns.keys[kept]],
        unseen=unseen,
        starts=np.searchsorted(rows, np.arange(len(kept) + 1)).astype(np.int32),
        columns=labels_at.astype(np.uint16),
        weights=words[kept][rows, labels_at],
        scale=word_scale,
        ngrams=options.ngrams,
    )
