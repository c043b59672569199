"""Two adapters on the same rows: who won which, by how much, and how sure that is.

The interval of the difference is Tango's score interval for paired proportions (T. Tango, Equivalence test
and confidence interval for the difference in proportions for the paired-sample design, Stat. Med. 17, 1998).
It is used instead of a paired bootstrap because it stays honest where few rows differ: two adapters that
answer ten rows alike are not thereby known to be equal, and the bootstrap would say just that. The p value is
McNemar's, exact (Q. McNemar, Note on the sampling error of the difference between correlated proportions,
Psychometrika 12, 1947).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.errors import InputError
from headrace.evaluation.intervals import Estimate, two_sided


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What an adapter answered on held-out rows; `rows` are ids, in any order that both sides share."""

    adapter: str
    rows: tuple[str, ...]
    gold: tuple[str, ...]
    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.gold) == len(self.answers):
            raise InputError("rows, gold labels and answers differ in number.", where=self.adapter)

    @classmethod
    def of(
        cls,
        adapter: str,
        rows: Sequence[str],
        gold: Sequence[str],
        probabilities: NDArray[np.floating[Any]],
        labels: Sequence[str],
    ) -> Outcomes:
        """From `probabilities` [n, K]: the most probable label answers, on a tie the first of `labels`."""
        best = np.asarray(probabilities).argmax(axis=1).tolist() if len(rows) else []
        return cls(adapter, tuple(rows), tuple(gold), tuple(labels[i] for i in best))

    @classmethod
    def most_frequent(cls, other: Outcomes) -> Outcomes:
        """What always answering the most frequent gold label of `other`'s rows would give."""
        counts = Counter(other.gold)
        label = min(counts, key=lambda name: (-counts[name], name)) if counts else ""
        return cls("", other.rows, other.gold, (label,) * len(other.rows))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which rows were answered right [n]."""
        pairs = zip(self.gold, self.answers, strict=True)
        return np.fromiter((gold == answer for gold, answer in pairs), np.bool_, len(self.rows))

    def joined(self, other: Outcomes) -> Outcomes:
        """These rows and then those of `other`, for example of another channel of the task."""
        return Outcomes(
            self.adapter, self.rows + other.rows, self.gold + other.gold, self.answers + other.answers
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """`won` rows are right with the second adapter alone, `lost` with the first alone."""

    both: int
    won: int
    lost: int
    neither: int
    difference: Estimate
    p: float

    @property
    def n(self) -> int:
        """Rows compared."""
        return self.both + self.won + self.lost + self.neither

    def to_json(self) -> dict[str, object]:
        """A JSON object; the difference is a share, second less first."""
        return {
            "both": self.both,
            "won": self.won,
            "lost": self.lost,
            "neither": self.neither,
            "difference": self.difference.to_json(),
            "p": self.p,
        }


def compare(first: Outcomes, second: Outcomes, *, confidence: float = 0.95) -> Comparison:
    """The second adapter against the first on the same rows.

    Raises InputError where the two speak of different rows or gold labels.
    """
    if first.rows != second.rows or first.gold != second.gold:
        raise InputError(
            "the two adapters were not judged on the same rows.",
            where=f"{first.adapter}, {second.adapter}",
            cure="Judge both on the same held-out rows, in the same order.",
        )
    a, b = first.right, second.right
    won, lost = int((b & ~a).sum()), int((a & ~b).sum())
    difference = paired_interval(won, lost, len(a), confidence=confidence)
    return Comparison(int((a & b).sum()), won, lost, int((~a & ~b).sum()), difference, mcnemar(won, lost))


def mcnemar(won: int, lost: int) -> float:
    """The exact two-sided p of McNemar's test: how odd the split of the rows that differ would be."""
    from scipy.stats import binomtest  # a server, which compares nothing, starts a second sooner without it

    return 1.0 if won + lost == 0 else float(binomtest(won, won + lost).pvalue)


def surely_lost(won: int, lost: int) -> float:
    """The exact one-sided p of McNemar's test against a second adapter that is as good as the first.

    Given which rows differ, an equal one loses each of them with a chance of 1/2 at most, so that p <= a
    happens with a chance of at most a, whatever the number of rows and however often the two differ.
    """
    from scipy.stats import binom

    return float(binom.sf(lost - 1, won + lost, 0.5)) if won + lost else 1.0


def paired_interval(won: int, lost: int, n: int, *, confidence: float = 0.95) -> Estimate:
    """(won - lost) / n with Tango's interval; of no rows, 0 within -1 and 1. Swapping flips the signs."""
    if n == 0:
        return Estimate(0.0, -1.0, 1.0, 0)
    z = two_sided(confidence)
    value = (won - lost) / n
    low, high = _lower(won, lost, n, z), -_lower(lost, won, n, z)
    return Estimate(value, min(value, low), max(value, high), n)


def rows_needed(
    discordant_rate: float, margin: float, confidence: float = 0.95, power: float = 0.8
) -> int | None:
    """Held-out rows needed to exclude a loss above `margin` (a share) when the two are in truth equally good.

    `discordant_rate` is the share of rows on which exactly one of them is right. The sample size for paired
    proportions of R. J. Connor, Biometrics 43, 1987, but never fewer than the score interval needs when no
    row differs at all. None where no number is enough: the margin is 0,
    or so small (below a millionth) that it might as well be.
    """
    if margin < 1e-6:
        return None
    z = two_sided(confidence)
    spread = (z + NormalDist().inv_cdf(power)) ** 2 * discordant_rate / margin**2
    silent = z * z * (1 - min(margin, 1.0)) / min(margin, 1.0)
    return max(1, math.floor(max(spread, silent)) + 1)


def _lower(won: int, lost: int, n: int, z: float) -> float:
    """The smallest difference that Tango's score test does not reject."""
    value = (won - lost) / n

    def excess(difference: float) -> float:
        return n * (value - difference) - z * math.sqrt(n * _variance(won, lost, n, difference))

    from scipy.optimize import brentq

    floor, ceiling = -1 + 1e-12, value - 1e-9  # at `value` itself the variance may be 0: no root there
    if ceiling <= floor or excess(floor) <= 0:
        return -1.0
    root: Any = brentq(excess, floor, ceiling, xtol=1e-12)
    return float(root)


def _variance(won: int, lost: int, n: int, difference: float) -> float:
    """n times the variance of the observed difference, were `difference` the true one (Tango's q21)."""
    linear = (2 * n - won + lost) * difference - won - lost
    constant = -lost * difference * (1 - difference)
    rate = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
    return max(0.0, 2 * rate + difference * (1 - difference))
