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
