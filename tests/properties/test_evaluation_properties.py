"""What must hold of every judgement and comparison, and scikit-learn and scipy as oracles."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from headrace.evaluation import Judgement, Outcomes, compare, judge, rows_needed
from headrace.evaluation.calibration import calibration_error, calibration_growth
from headrace.evaluation.compare import mcnemar, paired_interval, surely_lost
from headrace.evaluation.intervals import bootstrap, wilson

FEW = settings(max_examples=40, deadline=None)


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, list[str], list[str]]:
    """Scores, gold labels (some unknown to the adapter) and labels."""
    n, k = draw(st.integers(0, 60)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels = [f"label {i}" for i in range(k)]
    gold = [str(rng.choice([*labels, "unheard of"])) for _ in range(n)]
    return rng.dirichlet(np.ones(k), n), gold, labels


@FEW
@given(judged())
def test_every_interval_holds_its_estimate_and_stays_within_bounds(
    given_: tuple[np.ndarray, list[str], list[str]],
) -> None:
    found = judge(*given_, seed=3, resamples=50)
    for estimate in (found.accuracy, found.macro_f1, found.calibration_error):
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.n == len(given_[1])
    for row in found.reliability:
        assert row.low - 1e-9 <= row.confidence <= row.high + 1e-9


@FEW
@given(judged())
def test_figures_equal_scikit_learn(given_: tuple[np.ndarray, list[str], list[str]]) -> None:
    scores, gold, labels = given_
    found = judge(scores, gold, labels, seed=0, resamples=2)
    if not gold:
        assert found.accuracy.n == 0
        return
    answered = [labels[i] for i in scores.argmax(axis=1)]
    known = [row.label for row in found.classes]
    assert math.isclose(found.accuracy.value, accuracy_score(gold, answered))
    assert math.isclose(found.macro_f1.value, f1_score(gold, answered, average="macro", zero_division=0))
    table = precision_recall_fscore_support(gold, answered, labels=known, average=None, zero_division=0)
    ours = [(row.precision, row.recall, row.f1, row.support) for row in found.classes]
    assert np.allclose(np.array(ours).T, table)
    matrix = np.zeros((len(known), len(known)))
    for cell in found.confusion:
        matrix[known.index(cell.gold), known.index(cell.answered)] = cell.count
    assert (matrix == confusion_matrix(gold, answered, labels=known)).all()


@FEW
@given(judged())
def test_a_judgement_survives_json(given_: tuple[np.ndarray, list[str], list[str]]) -> None:
    found = judge(*given_, seed=1, resamples=5)
    assert Judgement.from_json(json.loads(json.dumps(found.to_json()))) == found


@FEW
@given(judged())
def test_calibration_error_is_the_weighted_gap_of_its_bins(
    given_: tuple[np.ndarray, list[str], list[str]],
) -> None:
    found = judge(*given_, seed=1, resamples=2)
    gaps = [row.accuracy.n * abs(row.accuracy.value - row.confidence) for row in found.reliability]
    assert math.isclose(sum(gaps) / max(1, found.n), found.calibration_error.value, abs_tol=1e-9)


@FEW
@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 400))
def test_swapping_two_adapters_flips_every_sign(won: int, lost: int, same: int) -> None:
    n = won + lost + same
    one, other = paired_interval(won, lost, n), paired_interval(lost, won, n)
    assert (one.value, one.low, one.high) == (-other.value, -other.high, -other.low)
    assert -1 <= one.low <= one.value <= one.high <= 1
    assert mcnemar(won, lost) == mcnemar(lost, won)


@FEW
@given(st.integers(0, 10_000), st.integers(1, 120))
def test_comparing_outcomes_is_antisymmetric(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    rows = tuple(str(i) for i in range(n))
    gold, first, second = (tuple(rng.choice(["a", "b", "c"], n).tolist()) for _ in range(3))
    a, b = Outcomes("a", rows, gold, first), Outcomes("b", rows, gold, second)
    there, back = compare(a, b), compare(b, a)
    assert (there.won, there.lost, there.both, there.neither) == (
        back.lost,
        back.won,
        back.both,
        back.neither,
    )
    assert there.difference.value == pytest.approx(b.right.mean() - a.right.mean())
    assert there.n == n
    assert there.p == back.p


@FEW
@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_equals_scipy(right: int, n: int) -> None:
    right = min(right, n)
    theirs = binomtest(right, n).proportion_ci(0.9, method="wilson")
    ours = wilson(right, n, 0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@FEW
@given(st.integers(0, 2**32), st.integers(1, 50))
def test_the_same_seed_gives_the_same_bootstrap(seed: int, n: int) -> None:
    values = np.linspace(0, 1, n)
    twice = [bootstrap(lambda rows: float(values[rows].mean()), n, seed=seed, resamples=20) for _ in range(2)]
    assert twice[0] == twice[1]


@FEW
@given(st.floats(0, 0.5), st.floats(0.005, 0.2))
def test_more_disagreement_or_a_smaller_margin_needs_more_rows(rate: float, margin: float) -> None:
    needed = rows_needed(rate, margin)
    assert needed is not None
    more, smaller = rows_needed(rate + 0.1, margin), rows_needed(rate, margin / 2)
    assert more is not None
    assert smaller is not None
    assert more >= needed
    assert smaller > needed
    assert paired_interval(0, 0, needed).low > -margin


def test_the_paired_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    truth, runs, held = -0.04, 2000, 0
    for won, lost, _ in rng.multinomial(200, [0.05, 0.09, 0.86], runs):
        found = paired_interval(int(won), int(lost), 200)
        held += found.low <= truth <= found.high
    assert 0.935 <= held / runs <= 0.97


def test_rows_needed_gives_the_power_it_promises() -> None:
    rng = np.random.default_rng(11)
    needed = rows_needed(0.1, 0.03, power=0.8)
    assert needed is not None
    found = [
        paired_interval(int(won), int(lost), needed).low >= -0.03
        for won, lost, _ in rng.multinomial(needed, [0.05, 0.05, 0.9], 1000)
    ]
    assert 0.76 <= np.mean(found) <= 0.85


@FEW
@given(st.integers(0, 60), st.integers(0, 60))
def test_a_sure_loss_is_the_one_sided_test_of_mcnemar(won: int, lost: int) -> None:
    wanted = binomtest(lost, won + lost, alternative="greater").pvalue if won + lost else 1.0
    assert math.isclose(surely_lost(won, lost), wanted, rel_tol=1e-9)


@FEW
@given(st.integers(0, 200), st.integers(0, 5))
def test_calibration_growth_is_the_difference_of_the_errors_within_its_interval(n: int, seed: int) -> None:
    draws = np.random.default_rng(seed)
    sides = [(draws.random(n), draws.random(n) < 0.5) for _ in range(2)]
    growth = calibration_growth(sides[0], sides[1], seed=seed, resamples=20)
    first, second = (calibration_error(*side, seed=seed, resamples=0).value for side in sides)
    assert math.isclose(growth.value, second - first, abs_tol=1e-9)
    assert growth.low <= growth.value <= growth.high
    assert growth == calibration_growth(sides[0], sides[1], seed=seed, resamples=20)
