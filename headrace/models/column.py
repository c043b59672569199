"""One label of a head, fitted alone: every other label's weights stay as they are, to the bit.

With the others fixed, the loss of a softmax is that of a logistic regression of "is it this label?" with an
offset, minus the log of the sum of the others' exponentials. So a new label costs a second or two, and can
only take rows from the others, never move rows between them. Its weights are pulled towards a prior: the
weights of the labels that the head answers the new label's own rows with today, mixed as it answers them. How
easily the label answers is set last, on rows that stood outside the fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from headrace.models.adapter import Floats, Head, eight_bits, softmax
from headrace.models.ngrams import weighted
from headrace.models.solver import minimise

FOLDS = 5
"""Parts of the rows that stand outside a fit, one after the other, to set how easily the label answers."""

ROUNDS, FEWEST_UNSEEN = 60, 30
NEVER = -50.0
"""Added to a label's logits, it never answers."""


@dataclass(frozen=True)
class ColumnOptions:
    """`strength` is C as in the joint head; `words` are the label's word weights kept at most.

    `lost` is the share of any other label's rows that the label may take from it, of no more rows than a label
    has on average; `taken` is the share of all others' rows together. One row may always be taken.
    """

    strength: float = 10.0
    words: int = 600
    lost: float = 0.02
    taken: float = 0.002


@dataclass(frozen=True)
class Taught:
    """Rows to fit a label on: n-gram `counts` [n, 2^16], the head's `logits` [n, K], and whose they are.

    `embeddings` [n, d] are of norm 1; `gold` [n] is each row's place among the head's labels, -1 for rows of
    the label that is fitted; `weights` [n] count a row more or less. `unseen` [n] says which rows the head has
    not learned from: they show how sure it is of others.
    """

    embeddings: Floats
    counts: sparse.csr_matrix
    logits: Floats
    gold: NDArray[np.int64]
    weights: Floats
    unseen: NDArray[np.bool_]

    def sober(self) -> Taught:
        """The same rows, the head no surer of those that it has learned from than of the others.

        By how much a row's label exceeds all others becomes what it is for the unseen row of the same rank.
        """
        known = self.gold >= 0
        rows = np.flatnonzero(known)
        seen, fresh = known & ~self.unseen, known & self.unseen
        if fresh.sum() < FEWEST_UNSEEN or not seen.any():
            return self
        mine = self.logits[rows, self.gold[rows]]
        others = self.logits[rows].copy()
        others[np.arange(len(rows)), self.gold[rows]] = -np.inf
        above = np.full(len(known), 0.0, np.float32)
        above[rows] = mine - others.max(axis=1)
        shares = np.linspace(0, 1, 200)
        now, then = (np.quantile(above[some], shares) for some in (seen, fresh))
        logits, changed = self.logits.copy(), np.flatnonzero(seen)
        logits[changed, self.gold[changed]] += np.interp(above[changed], now, then) - above[changed]
        return replace(self, logits=logits)


@dataclass(frozen=True)
class Column:
    """The head with its label, and what rows outside the fit said of it.

    `found` is the share of its own rows that it answers, `lost` the number of other rows that it takes from
    their label.
    """

    head: Head
    found: float
    lost: int


def without(head: Head, labels: Sequence[str]) -> Head:
    """The head without some of its labels; what is left scores as before."""
    kept = [i for i, label in enumerate(head.labels) if label not in set(labels)]
    places = np.full(len(head.labels), -1)
    places[kept] = np.arange(len(kept))
    stays = places[head.columns] >= 0
    ends = np.concatenate([[0], np.cumsum(stays)])
    return replace(
        head,
        labels=tuple(head.labels[i] for i in kept),
        dense=np.ascontiguousarray(head.dense[:, kept]),
        bias=head.bias[kept],
        starts=ends[head.starts].astype(np.int32),
        columns=places[head.columns[stays]].astype(np.uint16),
        weights=head.weights[stays],
        scale=head.scale[kept],
    )


def renamed(head: Head, names: Mapping[str, str]) -> Head:
    """The head with other names for its labels; every score stays as it was, to the bit."""
    return replace(head, labels=tuple(names.get(label, label) for label in head.labels))


def fit_column(
    head: Head, label: str, taught: Taught, *, replaced: Sequence[str] = (), options: ColumnOptions
) -> Column:
    """The head with `label` last, learned from all rows, in the place of the labels `replaced`.

    How easily the label answers is set so that most rows are right where it comes as often as another label
    does on average, and so that it takes at most a share `options.lost` of any other label's rows, and
    `options.taken` of all others' together.
    """
    kept = [i for i, name in enumerate(head.labels) if name not in set(replaced)]
    taught = taught.sober()
    with threadpool_limits(1):  # small products: threads would only wait for each other
        problem = _problem(head, taught, kept, options)
        everything = np.arange(len(taught.gold))
        fitted = problem.solve(everything)
        if problem.words.shape[1] > options.words:
            problem = problem.narrowed(problem.used(fitted, options.words))
            fitted = problem.solve(everything)
        margins = problem.outside() - taught.logits[:, kept].max(axis=1)
        shift, found, lost = _easily(margins, taught, kept, options)
    return Column(problem.joined(without(head, replaced), label, fitted, shift), found, lost)


@dataclass(frozen=True)
class _Problem:
    """Logistic regression with an offset; weights are [d + V + 1], the embedding's, the words', the bias.

    `x` [n, d] is centred, `keys` [V] are the words' buckets, `idf` [2^16] of all.
    """

    x: Floats
    words: sparse.csr_matrix
    offset: Floats
    target: Floats
    weights: Floats
    start: Floats
    keys: NDArray[np.int64]
    idf: NDArray[np.uint8]
    centre: Floats
    strength: float

    def solve(self, rows: NDArray[np.intp]) -> Floats:
        """The weights that some rows teach."""
        x = self.x[rows]
        words: sparse.csr_matrix = sparse.csr_matrix(self.words[rows])
        turned: sparse.csr_matrix = sparse.csr_matrix(words.transpose())
        offset, target, weights = self.offset[rows], self.target[rows], self.weights[rows]
        d, pull = self.x.shape[1], np.float32(1 / self.strength)

        def objective(flat: Floats) -> tuple[float, Floats]:
            above = x @ flat[:d] + words @ flat[d:-1] + flat[-1] - offset
            loss = float((weights * (np.logaddexp(0, above) - target * above)).sum(dtype=np.float64))
            error = weights * (1 / (1 + np.exp(-np.clip(above, -30, 30))) - target)
            moved = (flat - self.start) * pull
            moved[-1] = 0
            gradient = np.concatenate([x.T @ error, turned @ error, [error.sum()]]).astype(np.float32) + moved
            return loss + 0.5 * self.strength * float(moved @ moved), np.asarray(gradient, np.float32)

        return minimise(objective, self.start, self._widths(), rounds=ROUNDS)

    def _widths(self) -> Floats:
        dense = np.full(self.x.shape[1], float((self.x**2).sum()) / max(1, self.x.shape[1]))
        curved = np.concatenate([dense, self._squares(), [len(self.target)]]) * 0.01 + 1 / self.strength
        return (1 / curved).astype(np.float32)

    def _squares(self) -> NDArray[np.float64]:
        data = self.words.data.astype(np.float64) ** 2
        return np.asarray(np.bincount(self.words.indices, data, minlength=self.words.shape[1]), np.float64)

    def used(self, fitted: Floats, most: int) -> NDArray[np.intp]:
        """The words that matter most: weight times use."""
        weight = np.abs(fitted[self.x.shape[1] : -1]) * np.sqrt(self._squares())
        return np.sort(np.argsort(-weight, kind="stable")[:most])

    def narrowed(self, words: NDArray[np.intp]) -> _Problem:
        """The problem over some of the words."""
        d = self.x.shape[1]
        start = np.concatenate([self.start[:d], self.start[d:-1][words], self.start[-1:]])
        picked = sparse.csr_matrix(self.words[:, words])
        return replace(self, words=picked, keys=self.keys[words], start=start)

    def outside(self) -> Floats:
        """[n] the label's logit of each row by a fit to the other parts of the rows."""
        fold, d = _folds(self.target > 0), self.x.shape[1]
        logits = np.zeros(len(fold), np.float32)
        for part in range(FOLDS):
            rows, fitted = np.flatnonzero(fold == part), self.solve(np.flatnonzero(fold != part))
            words: sparse.csr_matrix = sparse.csr_matrix(self.words[rows])
            logits[rows] = self.x[rows] @ fitted[:d] + words @ fitted[d:-1] + fitted[-1]
        return logits

    def joined(self, head: Head, label: str, fitted: Floats, shift: float) -> Head:
        """The head with one more label, in 8 bits."""
        d, scale = self.x.shape[1], np.float32(head.embedding_weight)
        packed, dense_scale = eight_bits(fitted[:d, None])
        words, word_scale = eight_bits(fitted[d:-1, None])
        dense, there = packed * dense_scale, words[:, 0] != 0
        keys = np.union1d(head.keys.astype(np.int64), self.keys[there])
        at = np.repeat(np.searchsorted(keys, head.keys.astype(np.int64)), np.diff(head.starts))
        rows = np.concatenate([at, np.searchsorted(keys, self.keys[there])])
        columns = np.concatenate([head.columns, np.full(int(there.sum()), len(head.labels))])
        order = np.lexsort((columns, rows))
        return replace(
            head,
            labels=(*head.labels, label),
            dense=np.concatenate([head.dense, dense], axis=1),
            bias=np.append(head.bias, fitted[-1] + shift - scale * (self.centre @ dense[:, 0])).astype(
                np.float32
            ),
            keys=keys.astype(np.uint16),
            idf=self.idf[keys],
            starts=np.searchsorted(rows[order], np.arange(len(keys) + 1)).astype(np.int32),
            columns=columns[order].astype(np.uint16),
            weights=np.concatenate([head.weights, words[there, 0]])[order],
            scale=np.append(head.scale, word_scale).astype(np.float32),
        )


def _problem(head: Head, taught: Taught, kept: Sequence[int], options: ColumnOptions) -> _Problem:
    """The regression of one label, its rows weighing as much together as another label's on average."""
    own = taught.gold < 0
    said: sparse.csr_matrix = sparse.csr_matrix(taught.counts[np.flatnonzero(own)])
    keys = np.union1d(head.keys.astype(np.int64), np.unique(said.indices))
    idf = np.full(taught.counts.shape[1], head.unseen, np.uint8)
    idf[head.keys] = head.idf
    scale, centre = np.float32(head.embedding_weight), taught.embeddings.mean(axis=0)
    others = taught.logits[:, kept]
    peak = others.max(axis=1)
    share = float((~own).sum()) / max(1, len(kept))
    factor = np.float32(max(1.0, share / max(1e-9, float(taught.weights[own].sum()))))
    return _Problem(
        x=np.ascontiguousarray((taught.embeddings - centre) * scale),
        words=sparse.csr_matrix(weighted(taught.counts, idf)[:, keys]),
        offset=np.asarray(peak + np.log(np.exp(others - peak[:, None]).sum(axis=1)), np.float32),
        target=own.astype(np.float32),
        weights=np.where(own, taught.weights * factor, taught.weights).astype(np.float32),
        start=_prior(head, softmax(taught.logits[own]).mean(axis=0), keys, scale * centre),
        keys=keys,
        idf=idf,
        centre=centre,
        strength=options.strength,
    )


def _prior(head: Head, shares: Floats, keys: NDArray[np.int64], centre: Floats) -> Floats:
    """The head's labels mixed by `shares` [K]: weights of the embedding, of the words `keys`, and the bias."""
    dense = head.dense @ shares
    words = np.zeros(len(keys), np.float32)
    at = np.repeat(np.searchsorted(keys, head.keys.astype(np.int64)), np.diff(head.starts))
    np.add.at(words, at, head.weights * head.scale[head.columns] * shares[head.columns])
    return np.concatenate([dense, words, [head.bias @ shares + centre @ dense]]).astype(np.float32)


def _folds(own: NDArray[np.bool_]) -> NDArray[np.intp]:
    """[n] which part a row is in: the label's rows and the others' spread alike, in the order given."""
    fold = np.zeros(len(own), np.intp)
    for rows in (np.flatnonzero(own), np.flatnonzero(~own)):
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


def _easily(
    margins: Floats, taught: Taught, kept: Sequence[int], options: ColumnOptions
) -> tuple[float, float, int]:
    """What to add to the label's logits, the share of its rows that it then answers, and rows it takes.

    `margins` [n] say by how much it exceeds every other label.
    """
    own, many = taught.gold < 0, taught.logits.shape[1]
    others = np.array(kept)[taught.logits[:, kept].argmax(axis=1)]
    right = (taught.gold == others) & ~own
    sizes = np.maximum(np.bincount(taught.gold[~own], minlength=many), 1)
    each = float((~own).sum()) / max(1, len(kept))
    most = np.maximum(1, options.lost * np.minimum(sizes, each))
    best = (0.0, NEVER, 0.0, 0)
    for shift in np.unique(np.append(1e-3 - margins[own], 0.0)).tolist():
        taken = right & (margins + shift > 0)
        losses = np.bincount(taught.gold[taken], minlength=many)
        found, cost = float((margins[own] + shift > 0).mean()), int(taken.sum())
        if (losses > most).any() or cost > max(1, options.taken * each * len(kept)):
            continue
        best = max(best, (found * each - cost, shift, found, cost))
    return best[1:]
