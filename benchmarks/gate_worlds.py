"""Simulated trials: histories in which no challenger is better, mixed ones, and the watch after a release.

Rows on which both adapters agree change no evidence, so histories are told in differing pairs; where pairs that
agree take time, as in power and in the watch, they are counted. All arithmetic of evidence, levels and the
detector is the library's own (`wealth`, `mixed`, `next_level`, `moved`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from headrace.release.detector import BETS, WEIGHTS, moved
from headrace.release.evidence import mixed, wealth
from headrace.release.selection import Rule, left_of, level, next_level

Ints = NDArray[np.int16]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BLOCK = 8
POPCOUNT: NDArray[np.uint8] = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(
    axis=1, dtype=np.uint8
)
KINDS = {-2: 0.1, 0: 0.6, 2: 0.1, 4: 0.1, 8: 0.1}  # points that a challenger is better: share of challengers
DISAGREEMENT = 0.1


@lru_cache(maxsize=2)
def log_values(most: int) -> Floats:
    """The log e-value after n differing pairs of which so many were won: [n, wins], -inf where wins > n."""
    wins = np.arange(most + 1)
    found = np.full((most + 1, most + 1), -np.inf)
    for n in range(most + 1):
        found[n, : n + 1] = mixed(wealth(wins[: n + 1], n - wins[: n + 1]))
    return found


def bars(most: int, levels: Floats) -> Ints:
    """The least wins of n differing pairs that release at each of `levels` [m]: [n, m]; n + 1 where none do."""
    rows = [np.searchsorted(row[: n + 1], -np.log(levels)) for n, row in enumerate(log_values(most))]
    return np.asarray(rows, np.int16)


def ledger(numbers: int, channels: int, alpha: float) -> Floats:
    """The levels of successive challengers of so many channels where none is released: [numbers, channels]."""
    found, spent = np.zeros((numbers, channels)), 0.0
    for number in range(numbers):
        for channel in range(channels):
            found[number, channel] = next_level(number + 1, left_of(alpha, [spent]), channels)
            spent += found[number, channel]
    return found


def null_histories(bar: Sequence[Ints], histories: int, rng: np.random.Generator) -> Bools:
    """Which histories release something where every challenger is exactly as good as its champion.

    `bar` holds for each successive number the least wins that release, [differing pairs + 1, channels]. Every
    pair is looked at: a block of 8 is gone through pair by pair wherever 8 wins could reach the bar.
    """
    alive = np.ones(histories, np.bool_)
    for each in bar:
        living = np.flatnonzero(alive)
        alive[living] = ~_null_round(each, len(living), rng)
    return ~alive


def _null_round(bar: Ints, histories: int, rng: np.random.Generator) -> Bools:
    """Which histories release one of the challengers that their channels try side by side."""
    false = np.zeros(histories, np.bool_)
    wins = np.zeros((histories, bar.shape[1]), np.int16)
    for begin in range(0, bar.shape[0] - BLOCK, BLOCK):
        here = bar[begin + 1 : begin + BLOCK + 1]
        drawn = rng.integers(0, 256, wins.shape, np.uint8)
        history, channel = np.nonzero(wins >= here.min(axis=0) - BLOCK)
        bits = np.unpackbits(drawn[history, channel][:, None], axis=1)
        path = wins[history, channel][:, None] + np.cumsum(bits, axis=1, dtype=np.int16)
        false[history[(path >= here[:, channel].T).any(axis=1)]] = True
        wins += POPCOUNT[drawn]
    return false


def null_histories_together(
    numbers: int, channels: int, most: int, alpha: float, histories: int, rng: np.random.Generator
) -> Bools:
    """As `null_histories`, by the rule `share`: e-BH over the channels after every differing pair of each."""
    alive = np.ones(histories, np.bool_)
    for number in range(1, numbers + 1):
        need = -np.log(level(number, alpha / channels))
        living = np.flatnonzero(alive)
        wins = np.zeros((len(living), channels), np.int16)
        for n in range(1, most + 1):
            wins += rng.integers(0, 2, wins.shape, np.int16)
            score = log_values(most)[n, : n + 1] - need
            alive[living[_discovers(wins, score)]] = False
    return ~alive


def _discovers(wins: Ints, score: Floats) -> Bools:
    """Which histories [h] of `wins` [h, channels] have k channels with a score of at least -log k, for some k.

    `score` holds log(level times e-value) for each number of wins, ascending.
    """
    width = len(score)
    flat = np.bincount((np.arange(len(wins))[:, None] * width + wins).ravel(), minlength=len(wins) * width)
    at_least = flat.reshape(len(wins), width)[:, ::-1].cumsum(axis=1)[:, ::-1]
    with np.errstate(divide="ignore"):
        found: Bools = (score >= -np.log(at_least)).any(axis=1)
    return found


@dataclass(frozen=True)
class Life:
    """What was released in mixed histories, and what is left of alpha, by history; by kind over all of them."""

    false: NDArray[np.int64]
    released: NDArray[np.int64]
    left: Floats
    by_kind: dict[int, tuple[int, int]]

    @property
    def proportions(self) -> Floats:
        """Of each history, the share of its releases that are false."""
        found: Floats = self.false / np.maximum(self.released, 1)
        return found


def mixed_histories(
    rule: Rule,
    numbers: int,
    channels: int,
    most: int,
    alpha: float,
    histories: int,
    rng: np.random.Generator,
) -> Life:
    """Histories in which each channel tries a challenger each night, and some are better, by `KINDS`."""
    left, before = np.full(histories, alpha), np.zeros(histories, np.int64)
    false = np.zeros(histories, np.int64)
    tried, won = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for number in range(1, numbers + 1):
        if rule == "any":
            levels = _ledger_night(number, left, channels)
        else:
            levels = np.full((histories, channels), level(number, alpha / channels))
        kinds = rng.choice(list(KINDS), (histories, channels), p=list(KINDS.values()))
        out = night(rule, levels, kinds, most, before, rng)
        left = left - np.where(out, 0.0, levels).sum(axis=1)
        before = before + out.sum(axis=1)
        false += (out & (kinds <= 0)).sum(axis=1)
        for kind in KINDS:
            tried[kind] += int((kinds == kind).sum())
            won[kind] += int((out & (kinds == kind)).sum())
    return Life(false, before, left, {kind: (won[kind], tried[kind]) for kind in KINDS})


def _ledger_night(number: int, left: Floats, channels: int) -> Floats:
    """The levels of one night, [histories, channels]; what is left goes down from trial to trial."""
    share = next_level(number, 1.0, channels)
    found: Floats = left[:, None] * share * (1 - share) ** np.arange(channels)
    return found


def night(
    rule: Rule,
    levels: Floats,
    kinds: NDArray[np.int64],
    most: int,
    before: NDArray[np.int64],
    rng: np.random.Generator,
) -> Bools:
    """Which challengers are released by their `most`-th differing pair, looked at after each one."""
    chance = (0.5 + kinds / (200 * DISAGREEMENT)).astype(np.float32)
    needs = -np.log(levels)
    wins, out = np.zeros(kinds.shape, np.int16), np.zeros(kinds.shape, np.bool_)
    for n in range(1, most + 1):
        wins += rng.random(kinds.shape, np.float32) < chance
        score = np.where(out, -np.inf, log_values(most)[n][wins] - needs)
        out |= score >= (0.0 if rule == "any" else _bar_together(score, before + out.sum(axis=1)))
    return out


def _bar_together(score: Floats, before: NDArray[np.int64]) -> Floats:
    """The score from which e-BH releases, [histories, 1], where `before` were released already."""
    ordered = np.sort(score, axis=1)[:, ::-1]
    found = before[:, None] + np.arange(1, score.shape[1] + 1)
    reached = np.where(ordered >= -np.log(found), found, 0).max(axis=1)
    return np.where(reached > 0, -np.log(np.maximum(reached, 1)), np.inf)[:, None]


def walks(
    gain: float, pairs: int, runs: int, rng: np.random.Generator, disagreement: float = DISAGREEMENT
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Wins so far and the number of the judged pair at each differing pair: [runs, differing] both.

    Pairs that agree lie between them; as many differing pairs are drawn as `pairs` judged ones can hold.
    """
    most = int(pairs * disagreement + 6 * np.sqrt(pairs * disagreement) + 10)
    at = rng.geometric(disagreement, (runs, most)).cumsum(axis=1)
    won = rng.random((runs, most)) < (disagreement + gain) / (2 * disagreement)
    return won.cumsum(axis=1), at


def first_pair(wins: NDArray[np.int64], at: NDArray[np.int64], bar: NDArray[np.integer]) -> Floats:
    """The judged pair at which each walk first has the wins of `bar` [differing + 1]: [runs], inf for never."""
    reached = wins >= bar[1 : wins.shape[1] + 1]
    first = reached.argmax(axis=1)
    return np.where(reached.any(axis=1), at[np.arange(len(at)), first], np.inf)


def alarms(
    lost: float, told: int, runs: int, false_alarm: int, rng: np.random.Generator, agree: float = 0.0
) -> tuple[int, Floats]:
    """Watches that are told of so many answers, begun anew after each alarm: all alarms, each one's first [runs].

    Of the answers told the share `agree` are alike; of the others the last adapter alone has `lost` right.
    The first alarm is given as the number of answers told, inf for none.
    """
    sums, first, count = np.zeros((runs, len(BETS))), np.full(runs, np.inf), 0
    for answer in range(1, told + 1):
        drawn = rng.random(runs) * (1 if agree == 0 else 1 / (1 - agree))
        sums = moved(sums, np.where(drawn < lost, -1.0, np.where(drawn < 1, 1.0, 0.0)))
        alarmed = sums @ WEIGHTS >= false_alarm
        if alarmed.any():
            first[alarmed] = np.minimum(first[alarmed], answer)
            sums[alarmed], count = 0.0, count + int(alarmed.sum())
    return count, first


def judged(differing: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Judged answers until so many differ [runs], where that `share` of them does; inf stays."""
    found, known = differing.copy(), np.isfinite(differing)
    found[known] += rng.negative_binomial(differing[known], share)
    return found
