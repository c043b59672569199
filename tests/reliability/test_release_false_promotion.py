"""Row 16 of the reliability table: histories of 1,000 channels x 20 challengers, none better, looked at always.

`make torture` runs 2,000 histories of up to 5,000 judged pairs a challenger; here it is 400 of up to 1,000.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import gate_worlds
from headrace.release import Evidence, left_of, next_level, released
from headrace.release.selection import Rule

ALPHA, CHANNELS, NUMBERS = 0.05, 1000, 20
COUNTS = [(400, 104), pytest.param(2000, 512, marks=pytest.mark.torture)]


@pytest.mark.parametrize(("histories", "pairs"), COUNTS)
def test_at_most_one_history_in_twenty_releases_anything(histories: int, pairs: int) -> None:
    levels = gate_worlds.ledger(NUMBERS, CHANNELS, ALPHA)
    bars = [gate_worlds.bars(pairs, each) for each in levels]
    false = gate_worlds.null_histories(bars, histories, np.random.default_rng(16))
    assert 0 < false.mean() <= ALPHA


def test_a_bar_that_is_too_low_shows() -> None:
    """The same histories at a level of 5 % for each challenger are false almost always."""
    bars = [gate_worlds.bars(104, np.full(50, ALPHA))] * NUMBERS
    assert gate_worlds.null_histories(bars, 40, np.random.default_rng(16)).mean() > 0.9


@pytest.mark.parametrize("histories", [60, pytest.param(400, marks=pytest.mark.torture)])
def test_e_bh_holds_it_too_where_none_is_better(histories: int) -> None:
    rng = np.random.default_rng(17)
    assert gate_worlds.null_histories_together(NUMBERS, 200, 104, ALPHA, histories, rng).mean() <= ALPHA


def test_where_some_are_better_ours_still_releases_nothing_false() -> None:
    life = gate_worlds.mixed_histories("any", 6, 200, 104, ALPHA, 40, np.random.default_rng(18))
    assert (life.false > 0).mean() <= ALPHA
    assert life.by_kind[8][0] > 0.8 * life.by_kind[8][1]


def test_the_simulation_spends_levels_as_the_library_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_worlds, "KINDS", {0: 1.0})
    life = gate_worlds.mixed_histories("any", 6, 50, 16, ALPHA, 3, np.random.default_rng(18))
    assert not life.released.any()
    assert life.left == pytest.approx(ALPHA - gate_worlds.ledger(6, 50, ALPHA).sum())


@pytest.mark.parametrize("rule", ["any", "share"])
def test_the_simulation_releases_what_the_library_does(rule: Rule) -> None:
    """Five channels, challengers of every kind, told row by row to `Evidence` and `released`."""
    rng, channels, most = np.random.default_rng(19), 5, 60
    levels = [next_level(1, left_of(ALPHA, [ALPHA / 5 * c / 21]), channels) for c in range(channels)]
    kinds = np.array([[-2, 0, 4, 8, 8]])
    before = np.zeros(1, np.int64)
    simulated = gate_worlds.night(rule, np.array([levels]), kinds, most, before, np.random.default_rng(19))
    told = {channel: Evidence() for channel in range(channels)}
    out: set[int] = set()
    for _ in range(most):
        won = rng.random((1, channels), np.float32) < (0.5 + kinds / 20).astype(np.float32)
        for channel in set(told) - out:
            told[channel] = told[channel].after(1 if won[0, channel] else -1)
        values = {channel: found.log_value for channel, found in told.items()}
        out |= released(values, dict(enumerate(levels)), rule)
    assert set(np.flatnonzero(simulated[0]).tolist()) == out
    assert {3, 4} & out


def test_blocks_are_looked_at_pair_by_pair() -> None:
    """A history is false where its wins reach the bar inside a block, though not at the block's end."""
    pairs, histories = 16, 4000
    bar = np.full((pairs + 1, 1), pairs + 1, np.int16)
    bar[3] = 3
    false = gate_worlds.null_histories([bar], histories, np.random.default_rng(20))
    assert false.mean() == pytest.approx(1 / 8, abs=0.02)
