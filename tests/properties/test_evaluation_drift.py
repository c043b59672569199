"""Drift alarms seldom where nothing has changed and surely where something has; intervals are Newcombe's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluation.drift import FALSE_ALARM, Floats, alarms, difference, shift
from headrace.evaluation.intervals import wilson

LOOKS, ROWS, WIDTH = 200, 60, 16


def embeddings(draws: np.random.Generator, rows: int, moved: float = 0.0) -> Floats:
    """Rows as embeddings lie: a few directions carry most, and all have length 1."""
    found = draws.normal(size=(rows, WIDTH)) / np.arange(1, WIDTH + 1)
    found[:, 0] += moved
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def ps(moved: float, looks: int = LOOKS) -> list[float]:
    draws = np.random.default_rng(11)
    pairs = [(embeddings(draws, ROWS), embeddings(draws, ROWS + 20, moved)) for _ in range(looks)]
    return [shift(*pair, seed=i, permutations=999).p for i, pair in enumerate(pairs)]


def test_where_nothing_has_changed_a_p_of_five_percent_comes_five_times_in_a_hundred() -> None:
    """A p is counted at 0.1 and 0.05 here: 0.001 would take 100,000 looks to see."""
    found = np.array(ps(0.0))
    for rate in (0.05, 0.1, 0.2):
        expected = rate * LOOKS
        assert (found <= rate).sum() <= expected + 3 * np.sqrt(expected), rate
    assert (found <= 0.5).sum() >= 0.3 * LOOKS, "nor is it shy"


def test_a_shift_is_found_and_what_is_new_is_called_unlike() -> None:
    assert all(alarms([p])[0] for p in ps(3.0, looks=20))
    draws = np.random.default_rng(1)
    strange = -embeddings(draws, 200, 3.0)
    found = shift(embeddings(draws, 200, 3.0), strange, seed=0)
    assert found.p == pytest.approx(1e-4)
    assert found.unlike.value > 0.95
    same = shift(embeddings(draws, 300), embeddings(draws, 300), seed=0)
    assert 0.01 < same.unlike.value < 0.12


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 99))
def test_the_same_rows_are_never_an_alarm_and_the_same_seed_gives_the_same_p(
    n: int, m: int, seed: int
) -> None:
    rows = embeddings(np.random.default_rng(seed), n + m)
    assert shift(rows[:n], rows[:n].copy(), seed=seed, permutations=199).p > 0.5
    one, two = (shift(rows[:n], rows[n:], seed=seed, permutations=199).p for _ in range(2))
    assert one == two
    assert 0 < one <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-6, 1), max_size=12))
def test_together_several_give_no_more_alarms_than_each_alone_and_no_fewer_than_a_shared_rate(
    found: list[float],
) -> None:
    said = alarms(found)
    for p, alarm in zip(found, said, strict=True):
        assert not alarm or p <= FALSE_ALARM
        assert alarm or p > FALSE_ALARM / len(found)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_difference_lies_in_its_interval_and_turns_over_with_its_sides(
    a: int, b: int, n: int, m: int
) -> None:
    one, two = wilson(min(a, n), n), wilson(min(b, m), m)
    found, back = difference(one, two), difference(two, one)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert difference(one, wilson(0, 0)).n == 0


def test_newcombes_own_example() -> None:
    """R. G. Newcombe 1998, table II, row (a): 56/70 less 48/80, method 10: 0.0524 to 0.3339."""
    found = difference(wilson(48, 80), wilson(56, 70))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
