"""What the proof of a release stands on: e-values, levels, selection and the watch, held to their definitions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.release import (
    Detector,
    Evidence,
    judged_needed,
    left_of,
    level,
    next_level,
    released,
)
from headrace.release import detector as watch
from headrace.release.evidence import BETS, mixed, wealth

FEW = settings(max_examples=50, deadline=None)
DIFFERENCES = st.sampled_from([-1, 0, 1])
ROWS = st.lists(DIFFERENCES, max_size=30)


def evidence(rows: Sequence[int]) -> Evidence:
    found = Evidence()
    for difference in rows:
        found = found.after(difference)
    return found


def fortune(differences: Sequence[float]) -> float:
    """The e-value by its definition: what bettors have on average, each bet in exact arithmetic."""
    each = [
        math.prod((1 + Fraction(bet) * Fraction(d) for d in differences), start=Fraction(1)) for bet in BETS
    ]
    return float(sum(each, Fraction(0)) / len(each))


def expected(win: float, loss: float, rows: int) -> float:
    """The mean e-value after so many rows that are won and lost with these probabilities, by enumeration."""
    chance = {1: win, 0: 1 - win - loss, -1: loss}
    total = 0.0
    for differences in itertools.product(chance, repeat=rows):
        value = math.exp(evidence(differences).log_value)
        total += math.prod(chance[d] for d in differences) * value
    return total


def test_without_a_gain_the_mean_e_value_is_one_and_with_a_loss_it_is_less() -> None:
    assert expected(0.3, 0.3, 6) == pytest.approx(1)
    assert expected(0.5, 0.5, 6) == pytest.approx(1)
    assert expected(0.2, 0.3, 6) < 0.9
    assert expected(0.3, 0.2, 6) > 1.2


@FEW
@given(ROWS)
def test_the_e_value_is_what_the_bettors_have_on_average(rows: list[int]) -> None:
    found = evidence(rows)
    assert math.exp(found.log_value) == pytest.approx(fortune(rows))
    assert math.exp(found.mirrored.log_value) == pytest.approx(fortune([-d for d in rows]))


@FEW
@given(ROWS, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_ties_change_nothing(rows: list[int], random: np.random.Generator) -> None:
    found, shuffled = evidence(rows), list(rows)
    random.shuffle(shuffled)
    assert evidence(shuffled) == found
    assert evidence([row for row in rows if row]).log_value == found.log_value
    counts = (found.wins, found.losses, found.ties)
    assert counts == tuple(sum(d == each for d in rows) for each in (1, -1, 0))
    assert found.judged == len(rows)


def test_evidence_never_overflows() -> None:
    many = Evidence(40_000, 200_000)
    assert -200_000 < many.log_value < 0 < many.mirrored.log_value < 200_000


@pytest.mark.parametrize("asked", [0.2, 0.01])
def test_looked_at_after_every_row_the_bar_is_crossed_no_more_often_than_the_level(asked: float) -> None:
    """Exactly: the chance of each number of wins among walks of 400 differing rows that have not crossed."""
    alive, crossed = np.array([1.0]), 0.0
    for n in range(1, 401):
        alive = (np.append(alive, 0) + np.insert(alive, 0, 0)) / 2
        wins = np.arange(n + 1)
        over = mixed(wealth(wins, n - wins)) >= -math.log(asked)
        crossed += float(alive[over].sum())
        alive[over] = 0
    assert 0.3 * asked < crossed <= asked


@FEW
@given(st.floats(0.001, 0.4))
def test_levels_of_successive_challengers_add_up_to_alpha(alpha: float) -> None:
    spent = [level(number, alpha) for number in range(1, 401)]
    assert math.fsum(spent) == pytest.approx(alpha * 400 / 420)
    assert spent[0] == pytest.approx(alpha / 21)
    assert spent[19] == pytest.approx(alpha / 78)
    assert spent == sorted(spent, reverse=True)


@FEW
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 40), st.booleans()), max_size=200))
def test_however_channels_come_and_go_no_more_than_alpha_is_ever_spent(
    trials: list[tuple[int, int, bool]],
) -> None:
    kept: list[float] = []
    for channels, number, won in trials:
        given_now = next_level(number, left_of(0.05, kept), channels)
        assert 0 < given_now <= left_of(0.05, kept)
        kept += [] if won else [given_now]
    assert math.fsum(kept) <= 0.05


def test_where_channels_stay_the_levels_are_nearly_the_fixed_ones() -> None:
    spent: list[float] = []
    for number in range(1, 21):
        for _ in range(50):
            spent.append(next_level(number, left_of(0.05, spent), 50))
    assert spent[0] == level(1, 0.05 / 50)
    assert spent[-1] == pytest.approx(level(20, 0.05 / 50), rel=0.03)


SCORES = st.lists(st.tuples(st.floats(-3, 12), st.floats(1e-5, 0.05)), max_size=9)


@FEW
@given(SCORES)
def test_selection_equals_its_definition(trials: list[tuple[float, float]]) -> None:
    """`share`: the largest set whose every member has level times e-value of at least 1 / size."""
    values, levels = (dict(enumerate(side)) for side in (zip(*trials, strict=True) if trials else ((), ())))
    reach = {i: math.log(levels[i]) + values[i] for i in values}
    best: set[int] = set()
    for size in range(len(trials) + 1):
        for some in itertools.combinations(reach, size):
            if all(reach[i] >= -math.log(size) for i in some):
                best |= set(some)
    assert released(values, levels, "share") == best
    assert released(values, levels) == {i for i in reach if reach[i] >= 0}
    assert released(values, levels) <= best


@FEW
@given(SCORES, SCORES)
def test_with_e_bh_what_was_released_stays_released(
    before: list[tuple[float, float]], more: list[tuple[float, float]]
) -> None:
    trials = [*before, *more]
    values, levels = ({i: t[side] for i, t in enumerate(trials)} for side in (0, 1))
    first = released({i: values[i] for i in range(len(before))}, levels, "share")
    assert first <= released(values, levels, "share")


def test_a_trial_without_a_level_is_never_released() -> None:
    assert released({"a": 99.0}, {"a": 0.0}) == released({"a": 99.0}, {"a": 0.0}, "share") == set()
    with pytest.raises(InputError, match="'b' has no level"):
        released({"b": 99.0}, {"a": 0.05})


@pytest.mark.parametrize("gain", [0.08, 0.04])
def test_most_challengers_need_a_little_less_than_the_pairs_that_are_expected(gain: float) -> None:
    drawn = np.random.default_rng(5).random((400, 3000))
    wins, losses = (drawn < (0.1 + gain) / 2).cumsum(axis=1), (drawn > 1 - (0.1 - gain) / 2).cumsum(axis=1)
    needed = judged_needed(0.1, gain, 1e-4)
    assert needed is not None
    values = mixed(wealth(wins[:, : 2 * needed : 10], losses[:, : 2 * needed : 10]))
    first = 10 * (values >= math.log(1e4)).argmax(axis=1)
    assert 0.8 * needed < np.median(first) < 1.02 * needed


def test_what_has_been_seen_shortens_the_way_and_no_gain_has_none() -> None:
    needed = judged_needed(0.1, 0.04, 1e-4)
    assert needed is not None
    ahead = judged_needed(0.1, 0.04, 1e-4, Evidence(30, 10))
    assert ahead is not None
    assert ahead < needed
    assert judged_needed(0.1, 0.04, 1e-4, Evidence(300, 10)) == 0
    assert judged_needed(0.1, 0.0, 1e-4) is None
    assert judged_needed(0.1, 1e-5, 1e-4) is None
    with pytest.raises(InputError):
        judged_needed(0.1, 0.2, 1e-4)


def seen(differences: Sequence[int], false_alarm: int = 10_000) -> Detector:
    found = Detector(false_alarm)
    for difference in differences:
        found = found.after(difference)
    return found


@FEW
@given(st.lists(DIFFERENCES, min_size=1, max_size=25))
def test_the_detector_adds_up_what_bettors_have_who_began_at_each_answer(differences: list[int]) -> None:
    found = seen(differences)
    begun = [fortune_of_losses(differences[i:]) for i in range(len(differences))]
    assert math.exp(found.log_value) == pytest.approx(sum(begun))


def fortune_of_losses(differences: Sequence[int]) -> float:
    each = [math.prod(1 - bet * d for d in differences) for bet in watch.BETS]
    return float(np.dot(each, watch.WEIGHTS))


def test_the_weights_of_the_bets_are_shares() -> None:
    assert watch.WEIGHTS.sum() == pytest.approx(1)
    assert (watch.WEIGHTS > 0).all()


def test_where_it_is_no_worse_the_detector_grows_by_one_an_answer_on_average() -> None:
    for chance, grown in (({1: 0.3, 0: 0.4, -1: 0.3}, 6.0), ({1: 0.4, 0: 0.4, -1: 0.2}, 5.0)):
        total = 0.0
        for differences in itertools.product(chance, repeat=6):
            value = math.exp(seen(differences).log_value)
            total += math.prod(chance[d] for d in differences) * value
        assert total <= grown + 1e-9
    assert math.exp(seen([0] * 7).log_value) == pytest.approx(7)


def test_an_alarm_stays_and_comes_soon_after_a_drop() -> None:
    quiet = seen([1, 0, 0, -1] * 20, false_alarm=1000)
    assert not quiet.alarm
    alarmed = quiet
    while not alarmed.alarm:
        alarmed = alarmed.after(-1)
    assert alarmed.judged - quiet.judged < 20
    assert alarmed.log_value >= math.log(1000)
    assert alarmed.after(1) == alarmed.after(0) == alarmed


def test_false_alarms_are_as_rare_as_asked() -> None:
    """400 watches of 3,000 answers where both are right equally often, and one alarm in 300 is allowed."""
    rng, alarms = np.random.default_rng(3), 0
    sums = np.zeros((400, len(watch.BETS)))
    for _ in range(3000):
        sums = watch.moved(sums, rng.choice([-1, 0, 1], 400, p=[0.05, 0.9, 0.05]))
        alarmed = sums @ watch.WEIGHTS >= 300
        alarms += int(alarmed.sum())
        sums[alarmed] = 0
    assert 0.5 < alarms / (400 * 3000 / 300) <= 1


@pytest.mark.parametrize("difference", [2, -2])
def test_what_is_no_difference_and_no_challenger_is_refused(difference: int) -> None:
    for found in (Evidence(), Detector()):
        with pytest.raises(InputError):
            found.after(difference)
    with pytest.raises(InputError):
        next_level(0, 0.05, 3)
