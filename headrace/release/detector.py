"""Has a released adapter become worse than the one before it? Watched answer by answer, for as long as it serves.

Since each judged answer the change may have come. For each of these moments a bettor against "it is not worse"
begins with 1 and stakes a share of what it has on every difference from then on; the detector adds up what all
of them have, by M -> (1 + M) * (1 - bet * difference), and takes the weighted mean over a few bets. As long as
the new adapter is no worse, M grows by at most 1 an answer on average; so the mean number of answers until M
reaches `false_alarm` is at least `false_alarm`, whatever the rows are like (e-SR: J. Shin, A. Ramdas and
A. Rinaldo, E-detectors: a nonparametric framework for sequential change detection, NEJSDS 2, 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.errors import InputError

BETS: NDArray[np.float64] = np.array([0.1, 0.3, 0.5, 0.7])
# Between them lie the best bets, drop / differing rows, of drops that one would not wait for.
WEIGHTS: NDArray[np.float64] = np.array([0.1, 0.3, 0.4, 0.2])


@dataclass(frozen=True, slots=True)
class Detector:
    """What has been seen since the release; `alarm` says that the last adapter should serve again.

    `sums` holds M for each bet, `judged` counts the answers. An alarm stays: what comes after it changes nothing.
    """

    false_alarm: int = 10_000
    sums: tuple[float, ...] = (0.0,) * len(BETS)
    judged: int = 0
    alarm: bool = False

    def after(self, difference: int) -> Detector:
        """With one more drawn row: new adapter right minus last adapter right, so +1, 0 or -1.

        Tell either the rows that differ alone, or also, as 0, those that were drawn and on which both agree:
        `false_alarm` counts what is told. Rows that were not drawn are never told. Raises InputError for another
        difference.
        """
        if difference not in (-1, 0, 1):
            raise InputError(f"a difference of {difference} is none; it is +1, 0 or -1.")
        if self.alarm:
            return self
        sums = moved(self.sums, difference)
        alarm = bool(sums @ WEIGHTS >= self.false_alarm)
        return replace(self, sums=tuple(sums.tolist()), judged=self.judged + 1, alarm=alarm)

    @property
    def log_value(self) -> float:
        """Natural logarithm of the mean of M; an alarm from log(false_alarm) on, 0 before the first answer."""
        return math.log(np.dot(self.sums, WEIGHTS)) if self.judged else 0.0


def moved(sums: ArrayLike, differences: ArrayLike) -> NDArray[np.float64]:
    """M of each bet after one more difference in [-1, 1]: [..., bets] and [...] -> [..., bets].

    The detector's value is their mean by `WEIGHTS`.
    """
    staked = 1 - BETS * np.asarray(differences, np.float64)[..., None]
    found: NDArray[np.float64] = (1 + np.asarray(sums, np.float64)) * staked
    return found
