"""Has what is asked changed, has the accuracy? Two samples compared, with a stated rate of false alarms.

Inputs: the maximum mean discrepancy of two sets of embeddings (A. Gretton et al., A kernel two-sample test,
JMLR 13, 2012), judged by permutations, whose p is exact for any number of rows (B. Phipson and G. Smyth,
Permutation p-values should never be zero, 2010). Where the p is plainly large the permutations end early
(J. Besag and P. Clifford, Sequential Monte Carlo p-values, Biometrika 78, 1991). Several channels are judged
together by Holm's procedure (1979). Shares: Newcombe's interval of a difference (Statistics in Medicine 17,
1998, method 10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.evaluation.intervals import Estimate, wilson

Floats = NDArray[np.float32]

FALSE_ALARM = 0.001
"""Of a look at all channels together where nothing has changed: the probability of any alarm."""

PERMUTATIONS = 9_999
_CHUNK = 1_000
_ENOUGH = 50  # permutations as extreme as what was seen, after which the p is plainly no alarm
_WIDTH = 0.35  # of the median distance: narrow, so that a few new kinds of question among many old ones show
_FAR = 0.95


@dataclass(frozen=True, slots=True)
class Shift:
    """Two samples of inputs: `p` that they differ by chance alone; `unlike` is the share of the new rows that
    are farther from the reference than 95 % of its own rows are from each other (5 % where nothing changed).
    """

    p: float
    unlike: Estimate
    reference: int
    new: int


def shift(reference: Floats, new: Floats, *, seed: int, permutations: int = PERMUTATIONS) -> Shift:
    """Compare embeddings [n, d] with new ones [m, d]; both of distinct texts, at least two each.

    A p of at most `a` comes by chance in at most `a` of all cases, whatever the sizes, for every `a` up to
    0.005 (with all 9,999 permutations).
    """
    rows = np.concatenate([reference, new]).astype(np.float32)
    distances = _distances(rows)
    n, m = len(reference), len(new)
    weights = np.concatenate([np.full(n, -1 / n), np.full(m, 1 / m)]).astype(np.float32)
    p = _permuted(_kernel(distances), weights, np.random.default_rng(seed), permutations)
    return Shift(p, _unlike(distances, n), n, m)


def alarms(ps: Sequence[float], rate: float = FALSE_ALARM) -> list[bool]:
    """Which of several tests give an alarm, together false in at most `rate` of all looks (Holm)."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    found = [False] * len(ps)
    for step, i in enumerate(order):
        if ps[i] > rate / (len(ps) - step):
            break
        found[i] = True
    return found


def difference(before: Estimate, after: Estimate, confidence: float = 0.95) -> Estimate:
    """The share `after` less the share `before`, of independent rows; of no rows, 0 within -1 and 1."""
    if not before.n or not after.n:
        return Estimate(0.0, -1.0, 1.0, 0)
    one = wilson(round(before.value * before.n), before.n, confidence)
    two = wilson(round(after.value * after.n), after.n, confidence)
    value = two.value - one.value
    low = value - math.hypot(two.value - two.low, one.high - one.value)
    high = value + math.hypot(two.high - two.value, one.value - one.low)
    return Estimate(value, max(-1.0, low), min(1.0, high), before.n + after.n)


def _distances(rows: Floats) -> Floats:
    """Squared distances [n + m, n + m]."""
    squares = (rows * rows).sum(axis=1)
    found = squares[:, None] + squares[None, :] - 2 * (rows @ rows.T)
    np.fill_diagonal(found, 0)
    return np.asarray(np.maximum(found, 0), dtype=np.float32)


def _kernel(distances: Floats) -> Floats:
    """A Gaussian kernel, narrower than the median distance."""
    middle = float(np.median(distances[np.triu_indices(len(distances), 1)])) or 1.0
    return np.asarray(np.exp(-distances / np.float32(2 * _WIDTH**2 * middle)), dtype=np.float32)


def _permuted(kernel: Floats, weights: Floats, draws: np.random.Generator, permutations: int) -> float:
    """The p of the discrepancy w'Kw among those of permuted weights; _ENOUGH as extreme end the count."""
    seen = float(weights @ kernel @ weights)
    tolerance = 1e-6 * max(1.0, abs(seen))  # equal samples give equal figures but for rounding
    extreme = done = 0
    while done < permutations and extreme < _ENOUGH:
        size = min(_CHUNK, permutations - done)
        drawn = np.stack([draws.permutation(weights) for _ in range(size)], axis=1)
        found = (drawn * (kernel @ drawn)).sum(axis=0)
        extreme += int((found >= seen - tolerance).sum())
        done += size
    return (extreme + 1) / (done + 1)


def _unlike(distances: Floats, n: int) -> Estimate:
    """The share of the rows from `n` on that lie farther from the first `n` than these from each other."""
    own = distances[:n, :n].copy()
    np.fill_diagonal(own, np.inf)
    limit = float(np.quantile(own.min(axis=1), _FAR))
    far = int((distances[n:, :n].min(axis=1) > limit).sum())
    return wilson(far, len(distances) - n)
