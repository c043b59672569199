"""Is an adapter as often right as it is sure? Reliability bins and the expected calibration error.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On calibration of modern neural networks, ICML 2017: bins of equal
width over the confidence of the answer; the error is the mean gap between confidence and accuracy, weighted
by rows. Below some 500 rows it is mostly noise, so it never comes without its interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.evaluation.intervals import Estimate, bootstrap, wilson

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence lies in (`low`, `high`]: their mean confidence and their accuracy."""

    low: float
    high: float
    confidence: float
    accuracy: Estimate

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Bin:
        """The bin that `to_json` wrote."""
        return cls(found["low"], found["high"], found["confidence"], Estimate.from_json(found["accuracy"]))

    def to_json(self) -> dict[str, object]:
        """A JSON object of the columns."""
        return {
            "low": self.low,
            "high": self.high,
            "confidence": self.confidence,
            "accuracy": self.accuracy.to_json(),
        }


def bin_numbers(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.intp]:
    """The bin of each confidence [n]: number i holds (i / bins, (i + 1) / bins], and 0 is in the first."""
    return np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)


def calibration_error(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    *,
    seed: int,
    resamples: int = 1000,
    bins: int = BINS,
) -> Estimate:
    """The expected calibration error of answers given with `confidence` [n] that were `right` [n] or not."""
    gap = confidence - right
    numbers = bin_numbers(confidence, bins)

    def of_rows(rows: NDArray[np.intp]) -> float:
        sums = np.bincount(numbers[rows], weights=gap[rows], minlength=bins)
        return float(np.abs(sums).sum() / len(rows))

    return bootstrap(of_rows, len(confidence), seed=seed, resamples=resamples)


def calibration_growth(
    first: tuple[NDArray[np.float64], NDArray[np.bool_]],
    second: tuple[NDArray[np.float64], NDArray[np.bool_]],
    *,
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
    bins: int = BINS,
) -> Estimate:
    """How much larger the second adapter's expected calibration error is than the first's, on the same rows.

    Each side is (confidence [n], right [n]). The interval is the percentile bootstrap's over rows, both sides
    drawn together, so that what the two share cancels; it holds the estimate. Of no rows, 0 within -1 and 1.
    """
    n = len(first[0])
    if n == 0:
        return Estimate(0.0, -1.0, 1.0, 0)
    sides = [(bin_numbers(sure, bins), sure - right) for sure, right in (first, second)]

    def growth(rows: NDArray[np.intp]) -> float:
        one, two = (
            float(np.abs(np.bincount(numbers[rows], weights=gap[rows], minlength=bins)).sum())
            for numbers, gap in sides
        )
        return (two - one) / n

    draws = np.random.default_rng(seed)
    value, found = growth(np.arange(n)), [growth(draws.integers(0, n, n)) for _ in range(resamples)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail]) if found else (-1.0, 1.0)
    return Estimate(value, min(value, float(low)), max(value, float(high)), n)


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS
) -> tuple[Bin, ...]:
    """The bins that hold rows, lowest confidence first; accuracy with Wilson's interval."""
    numbers = bin_numbers(confidence, bins)
    found = []
    for number in np.unique(numbers):
        inside = numbers == number
        share = wilson(int(right[inside].sum()), int(inside.sum()))
        mean = float(confidence[inside].mean())
        found.append(Bin(float(number) / bins, float(number + 1) / bins, mean, share))
    return tuple(found)
