"""How strongly audited answers say that a challenger is better than the champion, at any time.

Both adapters answer the same rows. An audited row counts +1 where the challenger alone is right, -1 where the
champion alone is, and 0 else, above all where both gave the same answer. The hypothesis to refute is that the
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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace.errors import InputError

BETS: NDArray[np.float64] = (np.arange(32) + 0.5) / 32
MOST = 10_000_000  # judged pairs beyond which nobody waits

Counts = tuple[tuple[float, int, int], ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the audits of one trial have shown so far; the order in which they came does not matter.

    `counts` holds (weight, wins, losses) for each weight that occurred, ascending; `ties` counts the rows whose
    difference was 0.
    """

    counts: Counts = ()
    ties: int = 0

    @classmethod
    def empty(cls) -> Evidence:
        """Before the first audit: an e-value of 1."""
        return cls()

    def after(self, difference: float, rate: float = 1.0, least_rate: float = 1.0) -> Evidence:
        """With one more audited row: challenger right minus champion right, so +1, 0 or -1.

        `rate` is the probability with which this row was drawn, `least_rate` the least that the trial uses for
        any row, fixed before it began. The difference counts with the weight least_rate / rate. Over all rows,
        drawn or not, it is then least_rate times the row's own difference on average, whatever the rates were,
        and never beyond -1 and 1: where the challenger is no better on average over all rows, what the bettors
        have stays a supermartingale. With one rate for all rows give neither. Raises InputError for another
        difference, or rates that are not 0 < least_rate <= rate <= 1.
        """
        if difference not in (-1, 0, 1):
            raise InputError(f"a difference of {difference} is none; it is +1, 0 or -1.")
        weight = weight_of(rate, least_rate)
        if difference == 0:
            return Evidence(self.counts, self.ties + 1)
        found = {size: (wins, losses) for size, wins, losses in self.counts}
        wins, losses = found.get(weight, (0, 0))
        found[weight] = (wins + 1, losses) if difference > 0 else (wins, losses + 1)
        return Evidence(tuple((size, *found[size]) for size in sorted(found)), self.ties)

    @property
    def wins(self) -> int:
        """Audited rows that the challenger alone answered right."""
        return sum(wins for _, wins, _ in self.counts)

    @property
    def losses(self) -> int:
        """Audited rows that the champion alone answered right."""
        return sum(losses for _, _, losses in self.counts)

    @property
    def judged(self) -> int:
        """Audited rows, those on which both are right or both wrong included."""
        return self.wins + self.losses + self.ties

    @property
    def log_value(self) -> float:
        """Natural logarithm of the e-value against "the challenger is no better"."""
        return float(mixed(sum((wealth(w, x, size) for size, w, x in self.counts), np.zeros(len(BETS)))))

    @property
    def mirrored(self) -> Evidence:
        """The same audits seen from the champion: its `log_value` speaks against "the challenger is no worse".

        A trial may be stopped for harm once it reaches log(1 / level).
        """
        return Evidence(tuple((size, losses, wins) for size, wins, losses in self.counts), self.ties)

    def to_json(self) -> dict[str, object]:
        """A JSON object from which `from_json` makes the same evidence again."""
        return {"counts": [list(each) for each in self.counts], "ties": self.ties}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Evidence:
        """Evidence as `to_json` wrote it."""
        counts = tuple((float(size), int(wins), int(losses)) for size, wins, losses in document["counts"])
        return cls(counts, int(document["ties"]))


def weight_of(rate: float, least_rate: float) -> float:
    """The weight of a row that was drawn with probability `rate`; InputError where the rates are none."""
    if not 0 < least_rate <= rate <= 1:
        raise InputError(
            f"rates of {rate} and at least {least_rate} are no rates of one trial.",
            cure="They are 0 < least_rate <= rate <= 1; least_rate is fixed before the trial begins.",
        )
    return least_rate / rate


def wealth(wins: ArrayLike, losses: ArrayLike, weight: float = 1.0) -> NDArray[np.float64]:
    """Logarithm of what each bettor has after so many rows won and lost: [...] -> [..., bets]."""
    won, lost = np.asarray(wins, np.float64)[..., None], np.asarray(losses, np.float64)[..., None]
    found: NDArray[np.float64] = won * np.log1p(weight * BETS) + lost * np.log1p(-weight * BETS)
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
    now = sum((wealth(wins, losses, size) for size, wins, losses in have.counts), np.zeros(len(BETS)))
    more = wealth(pairs * (disagreement + gain) / 2, pairs * (disagreement - gain) / 2)
    return float(mixed(now + more)) >= -math.log(level)
