"""What others would release by, in the same worlds: a z-test with peeking, a hold-out, and track-and-stop.

- z-test: (wins - losses) / sqrt(wins + losses) against a fixed quantile, looked at after every differing pair
  from the tenth on.
- hold-out: the challenger is released where it answers more of so many held-out rows right than the champion.
- track-and-stop (A. Garivier and E. Kaufmann, Optimal best arm identification with fixed confidence, COLT
  2016), with two arms: it chooses whose next answer is judged (D-tracking of the optimal shares) and stops once
  the generalised likelihood ratio passes log((1 + log t) / level), the threshold of the paper's experiments,
  which stops earlier than the one that its theorem proves, log(2 t / level). It judges the two adapters'
  answers one by one, so it cannot use that they are to the same rows.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmarks.gate_worlds import Bools, Floats, Ints

LEAST = 10  # differing pairs before the z-test looks for the first time


def z_bar(most: int, level: float) -> Ints:
    """The least wins of n differing pairs at which a one-sided z-test rejects: [n]; n + 1 where none do."""
    n = np.arange(most + 1)
    found = np.ceil((n + NormalDist().inv_cdf(1 - level) * np.sqrt(n)) / 2)
    return np.where(n >= LEAST, np.minimum(found, n + 1), n + 1).astype(np.int16)


def hold_out(
    gain: float, rows: int, disagreement: float, shape: tuple[int, ...], rng: np.random.Generator
) -> Bools:
    """Which challengers answer more of `rows` held-out rows right than their champions."""

    differing = rng.binomial(rows, disagreement, shape)
    wins = rng.binomial(differing, (disagreement + gain) / (2 * disagreement))
    found: Bools = 2 * wins > differing
    return found


def track_and_stop(
    means: tuple[float, float], answers: int, level: float, runs: int, rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Which arm of two each run declares the best within so many judged answers, and after how many: [runs] both.

    -1 where it has not stopped. `means` are the two adapters' accuracies; the level is the probability of a
    wrong answer.
    """
    best, after = np.full(runs, -1, np.int8), np.full(runs, answers)
    going = np.arange(runs)
    pulls, wins = np.ones((runs, 2)), (rng.random((runs, 2)) < means).astype(np.float64)
    for t in range(2, answers + 1):
        stop = _likelihood_ratio(wins, pulls) >= np.log((1 + np.log(t)) / level)
        if stop.any():
            ended = going[stop]
            best[ended] = (wins[stop] / pulls[stop]).argmax(axis=1)
            after[ended] = t
            going, wins, pulls = going[~stop], wins[~stop], pulls[~stop]
        arm = _next_arm(wins, pulls, t)
        rows = np.arange(len(going))
        wins[rows, arm] += rng.random(len(going)) < np.asarray(means)[arm]
        pulls[rows, arm] += 1
    return best, after


def optimal_share(means: Floats) -> Floats:
    """The share of judged answers that goes to the first of two arms, [..., 2] -> [...].

    Where the shares are optimal both arms are equally far, in relative entropy, from their common mean.
    """
    first, second = means[..., 0], means[..., 1]
    gap = first - second
    with np.errstate(divide="ignore", invalid="ignore"):
        common = 1 / (1 + np.exp((_entropy(first) - _entropy(second)) / gap))
        share = (common - second) / gap
    found: Floats = np.where(np.abs(gap) < 1e-9, 0.5, share)
    return found


def _next_arm(wins: Floats, pulls: Floats, t: int) -> NDArray[np.intp]:
    """D-tracking: an arm that was asked too seldom, else the one that lags most behind its optimal share."""
    share = optimal_share(wins / pulls)
    lag = t * np.stack([share, 1 - share], axis=-1) - pulls
    seldom = pulls.min(axis=1) <= np.sqrt(t) - 1
    found: NDArray[np.intp] = np.where(seldom, pulls.argmin(axis=1), lag.argmax(axis=1))
    return found


def _likelihood_ratio(wins: Floats, pulls: Floats) -> Floats:
    """Log likelihood of two means against that of a common one: [runs, 2] -> [runs]."""
    apart = -(pulls * _entropy(wins / pulls)).sum(axis=1)
    every, won = pulls.sum(axis=1), wins.sum(axis=1)
    found: Floats = apart + every * _entropy(won / every)
    return found


def _entropy(share: Floats) -> Floats:
    inside = np.clip(share, 1e-300, 1)
    outside = np.clip(1 - share, 1e-300, 1)
    found: Floats = -share * np.log(inside) - (1 - share) * np.log(outside)
    return found
