"""Estimates and the intervals around them.

Proportions take Wilson's score interval, which stays within 0 and 1 and is right for few rows (E. B. Wilson,
Probable inference, the law of succession, and statistical inference, JASA 22, 1927). Everything else takes
the percentile bootstrap over rows (B. Efron, Bootstrap methods: another look at the jackknife, Annals of
Statistics 7, 1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Statistic = Callable[[NDArray[np.intp]], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its interval and the rows it stands on. With `n` 0 nothing is known: the interval is all."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def from_json(cls, found: Mapping[str, float]) -> Estimate:
        """The estimate that `to_json` wrote."""
        return cls(float(found["value"]), float(found["low"]), float(found["high"]), int(found["n"]))

    def to_json(self) -> dict[str, float]:
        """A JSON object of the four."""
        return asdict(self)


def two_sided(confidence: float) -> float:
    """The normal quantile of a two-sided interval, for example 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(right: int, n: int, confidence: float = 0.95) -> Estimate:
    """The share `right` of `n` with Wilson's score interval; of no rows, 0 within 0 and 1."""
    if n == 0:
        return Estimate(0.0, 0.0, 1.0, 0)
    z = two_sided(confidence)
    share = right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Estimate(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)), n)


def bootstrap(
    statistic: Statistic, n: int, *, seed: int, resamples: int = 1000, confidence: float = 0.95
) -> Estimate:
    """`statistic` of all `n` rows, with the percentile bootstrap's interval.

    `statistic` takes row numbers [n], drawn with replacement, and must lie within 0 and 1. Where it is biased
    under resampling (macro F1 falls, calibration error rises) the interval is widened to hold the estimate.
    """
    if n == 0:
        return Estimate(0.0, 0.0, 1.0, 0)
    value = statistic(np.arange(n))
    draws = np.random.default_rng(seed)
    found = [statistic(draws.integers(0, n, n)) for _ in range(resamples)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail]) if found else (0.0, 1.0)
    return Estimate(value, min(value, float(low)), max(value, float(high)), n)
