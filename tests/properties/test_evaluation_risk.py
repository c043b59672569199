"""The guarantee's promise holds in simulated worlds, and what it asks for is exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.evaluation.risk import certify, error_free, upper

Floats = NDArray[np.float64]
WORLDS: dict[str, Callable[[Floats], Floats]] = {
    "smooth": lambda u: 0.9 * (1 - u) ** 2 + 0.005,
    "at the edge": lambda u: np.full_like(u, 0.0501),
    "a step": lambda u: np.where(u > 0.5, 0.01, 0.5),
    "a rotten top": lambda u: np.where(u > 0.97, 0.3, np.where(u > 0.5, 0.005, 0.3)),
    "waves": lambda u: np.where((20 * u).astype(int) % 2 == 0, 0.0, 0.105),
}
"""Chance to be wrong of an answer by its score, which is uniform in 0 to 1."""
GRID = np.linspace(1, 0, 100_001)
TARGET, CONFIDENCE = 0.05, 0.95


def broken(world: Callable[[Floats], Floats], n: int, worlds: int, *, seed: int) -> float:
    """The share of samples of n whose threshold's true error is above the target."""
    errors = np.cumsum(world(GRID)) / np.arange(1, len(GRID) + 1)
    random, count = np.random.default_rng(seed), 0
    for _ in range(worlds):
        scores = random.random(n)
        right = random.random(n) >= world(scores)
        threshold = certify(scores, right, TARGET, CONFIDENCE).threshold
        count += threshold is not None and errors[round((1 - threshold) * 100_000)] > TARGET
    return count / worlds


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("n", [100, 400, 1500])
def test_the_promise_holds_whatever_the_scores_are_worth(name: str, n: int) -> None:
    # A rule that breaks 5 % breaks more than 7.3 % of 300 worlds once in 30 times.
    assert broken(WORLDS[name], n, 300, seed=n) <= 0.073


def test_a_plain_threshold_breaks_what_the_certified_one_holds() -> None:
    random, count = np.random.default_rng(3), 0
    for _ in range(200):
        scores = np.sort(random.random(400))[::-1]
        wrong = random.random(400) < WORLDS["smooth"](scores)
        held = np.flatnonzero(np.cumsum(wrong) / np.arange(1, 401) <= TARGET)
        error = 0.3 * (1 - scores[held[-1]]) ** 2 + 0.005 if len(held) else 0.0
        count += error > TARGET
    assert count / 200 > 0.3


@given(st.floats(0.005, 0.3), st.floats(0.6, 0.99))
@settings(max_examples=50, deadline=None)
def test_so_many_right_answers_certify_and_one_fewer_does_not(target: float, confidence: float) -> None:
    needed = error_free(target, confidence)
    enough, short = (
        certify(np.linspace(0, 1, n), np.ones(n, bool), target, confidence) for n in (needed, needed - 1)
    )
    assert (enough.threshold, enough.answered, enough.needed) == (0.0, needed, 0)
    assert (short.threshold, short.needed) == (None, 1)
    assert enough.most <= target
    assert certify(np.zeros(0), np.zeros(0, bool), target, confidence).needed == needed


@given(st.integers(0, 300))
@settings(max_examples=50, deadline=None)
def test_each_right_answer_makes_the_need_smaller_by_one(n: int) -> None:
    found = certify(np.full(n, 0.9), np.ones(n, bool), 0.02, 0.95)
    assert found.needed == max(0, error_free(0.02, 0.95) - n)


@given(st.integers(0, 2**32 - 1), st.integers(80, 600), st.floats(0.0, 0.5))
@settings(max_examples=50, deadline=None)
def test_what_is_certified_counts_right_and_no_order_of_rows_or_scale_of_scores_matters(
    seed: int, n: int, worst: float
) -> None:
    random = np.random.default_rng(seed)
    scores = np.round(random.random(n), 2)
    right = random.random(n) >= worst * (1 - scores)
    found = certify(scores, right, TARGET, CONFIDENCE)
    mixed = random.permutation(n)
    assert certify(scores[mixed], right[mixed], TARGET, CONFIDENCE) == found
    scaled = certify(scores**3, right, TARGET, CONFIDENCE)
    assert (scaled.answered, scaled.wrong, scaled.needed) == (found.answered, found.wrong, found.needed)
    if found.threshold is not None:
        alone = scores >= found.threshold
        assert (found.answered, found.wrong) == (alone.sum(), (~right[alone]).sum())
        assert found.most <= TARGET
        assert found.share == alone.mean()


def test_the_need_is_what_it_takes_where_answers_go_on_as_so_far() -> None:
    scores, right = np.linspace(1, 0, 100), np.arange(100) < 50
    assert certify(scores, right, TARGET, CONFIDENCE).needed == 44  # half of 144 are the 72 that certify
    early = certify(scores, np.arange(100) != 5, TARGET, CONFIDENCE).needed
    assert early is not None  # one mistake among few says little
    assert certify(scores, np.zeros(100, bool), TARGET, CONFIDENCE).needed is None


def test_the_upper_end_is_the_exact_one() -> None:
    from scipy.stats import binomtest

    expected = binomtest(7, 120, alternative="less").proportion_ci(0.95, method="exact").high
    assert upper(7, 120, 0.95) == pytest.approx(expected, abs=1e-9)
    assert upper(0, 0, 0.95) == upper(4, 4, 0.95) == 1.0


@pytest.mark.filterwarnings("ignore")
def test_mapie_with_the_same_thresholds_certifies_no_more() -> None:
    """The exact test needs fewer rows than MAPIE's bounds (Hoeffding, Bentkus), in the same fixed order."""
    from mapie.risk_control import BinaryClassificationController

    random, shares = np.random.default_rng(5), []
    for _ in range(6):
        scores = random.random(1000)
        right = random.random(1000) >= WORLDS["smooth"](scores)
        controller = BinaryClassificationController(
            predict_function=lambda rows: np.column_stack([1 - rows[:, 0], rows[:, 0]]),
            risk="precision",
            target_level=1 - TARGET,
            confidence_level=1 - (1 - CONFIDENCE) / 2,
            best_predict_param_choice="recall",
            list_predict_params=np.sort(scores)[::-1][165:],
            fwer_method="fixed_sequence",
        )
        best = controller.calibrate(scores[:, None], right.astype(int)).best_predict_param
        theirs = 0.0 if best is None else float((scores >= best).mean())
        shares.append((certify(scores, right, TARGET, CONFIDENCE).share, theirs))
    assert all(ours >= theirs for ours, theirs in shares)
    assert any(theirs > 0.2 for _, theirs in shares)
