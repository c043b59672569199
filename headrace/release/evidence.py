"""How strongly audited answers say that a challenger is better than the champion, at any time.

Both adapters answer the same rows. An audited row counts +1 where the challenger alone is right, -1 where the
champion alone is, and 0 else, above all where both gave the same answer. A question that is asked again is no
new row: whoever hands in audits hands in the first of each question. The hypothesis to refute is that the
challenger is no better: whatever has been seen so far, the next difference is at most 0 on average.

A bettor against it starts with 1 and stakes the share `bet` of what it has on every difference: it is
multiplied by 1 + bet * difference. Were the challenger no better, no bettor would win on average, so what the
mean of many bettors has is an e-value, however often and whenever one looks: with probability 1 - level it
never reaches 1 / level (J. Ville, 1939; G. Shafer, Testing by betting, JRSS A 184, 2021; I. Waudby-Smith and
A. Ramdas, Estimating means of bounded random variables by betting, JRSS B 86, 2023). Nobody knows the best bet
beforehand, which is gain / disagreement; so the bettors hold every bet of a grid and cost about two nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.errors import InputError

BETS: NDArray[np.float64] = (np.arange(32) + 0.5) / 32
MOST = 10_000_000  # judged pairs beyond which nobody waits


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the audits of one trial have shown so far; the order in which they came does not matter.

    Of the audited rows the challenger alone answered `wins` right and the champion alone `losses`; `ties` are
    those where both are right or both wrong. All rows of a trial are drawn by one rate, so each counts alike.
    """

    wins: int = 0
    losses: int = 0
    ties: int = 0

    def after(self, difference: int) -> Evidence:
        """With one more audited row: challenger right minus champion right; raises InputError for no such."""
        if difference not in (-1, 0, 1):
            raise InputError(f"a difference of {difference} is none; it is +1, 0 or -1.")
        won, lost = difference > 0, difference < 0
        return Evidence(self.wins + won, self.losses + lost, self.ties + (difference == 0))

    @property
    def judged(self) -> int:
        """Audited rows, those on which both are right or both wrong included."""
        return self.wins + self.losses + self.ties

    @property
    def log_value(self) -> float:
        """Natural logarithm of the e-value against "the challenger is no better"."""
        return float(mixed(wealth(self.wins, self.losses)))

    @property
    def mirrored(self) -> Evidence:
        """The same audits seen from the champion: its `log_value` speaks against "the challenger is no worse".

        A trial may be stopped for harm once it reaches log(1 / level).
        """
        return Evidence(self.losses, self.wins, self.ties)


def wealth(wins: ArrayLike, losses: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of what each bettor has after so many rows won and lost: [...] -> [..., bets]."""
    won, lost = np.asarray(wins, np.float64)[..., None], np.asarray(losses, np.float64)[..., None]
    found: NDArray[np.float64] = won * np.log1p(BETS) + lost * np.log1p(-BETS)
    return found


def mixed(wealths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of what the bettors have on average, all having begun with the same: [..., bets] -> [...]."""
    best = wealths.max(axis=-1)
    found: NDArray[np.float64] = best + np.log(np.exp(wealths - best[..., None]).mean(axis=-1))
    return found


def judged_needed(disagreement: float, gain: float, level: float, have: Evidence = Evidence()) -> int | None:
    """About how many more judged pairs it takes until the e-value reaches 1 / `level`, agreements counted.

    `disagreement` is the share of rows that one of the two alone answers right, `gain` the challenger's accuracy
    less the champion's, both as shares. The evidence is followed along its expected path; more than half of such
    challengers need a little less. None where the gain is not above 0, or more pairs are needed than anybody
    waits for. Raises InputError where the gain is larger than the disagreement.
    """
    if not abs(gain) <= disagreement <= 1:
        raise InputError(f"a gain of {gain} is impossible where only {disagreement} of the rows differ.")
    if gain <= 0 or not _reached(MOST, disagreement, gain, level, have):
        return None
    low, high = -1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _reached(middle, disagreement, gain, level, have) else (middle, high)
    return high


def _reached(pairs: int, disagreement: float, gain: float, level: float, have: Evidence) -> bool:
    wins, losses = pairs * (disagreement + gain) / 2, pairs * (disagreement - gain) / 2
    return float(mixed(wealth(have.wins + wins, have.losses + losses))) >= -math.log(level)
