"""Floors by simulation: an equal challenger is seldom refused, a class that is lost always, by name."""

from __future__ import annotations

import json
import math
import string
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.evaluation import Outcomes
from headrace.recipe import GateRecipe
from headrace.release import (
    Check,
    Shown,
    calibration_check,
    checks_of,
    decide,
    decide_shared,
    explain,
    floor_check,
    golden_check,
    size_check,
    work_check,
)
from headrace.release.floors import tarone
from headrace.release.reasons import CHINESE, ENGLISH

FEW = settings(max_examples=50, deadline=None)
Draws = np.random.Generator


def outcomes(name: str, gold: tuple[str, ...], right: np.ndarray) -> Outcomes:
    answers = tuple(g if ok else "wrong" for g, ok in zip(gold, right, strict=True))
    return Outcomes(name, tuple(f"r{i}" for i in range(len(gold))), gold, answers)


def counted(n: int, won: int, lost: int, label: str = "a") -> tuple[Outcomes, Outcomes]:
    """A champion and a challenger on `n` rows of one label, which differ on `won + lost` of them."""
    row = np.arange(n)
    gold = (label,) * n
    return outcomes("old", gold, row >= won), outcomes("new", gold, (row < won) | (row >= won + lost))


def shown(found: Outcomes, sure: float = 0.9, golden: Outcomes | None = None) -> Shown:
    none = Outcomes(found.adapter, (), (), ())
    return Shown(found, golden or none, found, np.full(len(found.rows), sure), {}, size=50_000, work=100.0)


def equal_pair(draws: Draws, classes: int) -> tuple[Outcomes, Outcomes, dict[str, list[str]]]:
    """Two adapters equally good in every class, each with its own number of rows and own rate of differing."""
    sizes = draws.integers(2, 60, classes)
    gold = tuple(f"c{i}" for i, size in enumerate(sizes) for _ in range(size))
    accuracy, apart = draws.uniform(0.5, 0.95, classes), draws.uniform(0.0, 0.4, classes)
    of_row = np.repeat(np.arange(classes), sizes)
    old = draws.random(len(gold)) < accuracy[of_row]
    again = draws.random(len(gold)) < apart[of_row]
    new = np.where(again, draws.random(len(gold)) < accuracy[of_row], old)
    slices = {"language": draws.choice(["han", "other"], len(gold)).tolist()}
    return outcomes("old", gold, old), outcomes("new", gold, new), slices


@pytest.mark.parametrize("classes", [4, 25, 77])
def test_an_equally_good_challenger_is_refused_by_floors_in_at_most_one_of_twenty(classes: int) -> None:
    draws = np.random.default_rng(classes)
    refused = 0
    for _ in range(400):
        old, new, slices = equal_pair(draws, classes)
        refused += not floor_check(old, new, slices, margin_points=10.0).passed
    assert refused / 400 <= 0.05


@pytest.mark.parametrize("classes", [4, 25, 77])
def test_a_class_that_lost_thirty_points_is_refused_by_its_name(classes: int) -> None:
    draws, named = np.random.default_rng(classes), 0
    for _ in range(40):
        gold = tuple(f"c{i % classes}" for i in range(60 * classes))
        lost = np.array([label == "c3" for label in gold])
        old = draws.random(len(gold)) < 0.9
        again = draws.random(len(gold)) < 0.1
        new = np.where(lost, old & (draws.random(len(gold)) < 2 / 3), old ^ (again & ~lost))
        check = floor_check(outcomes("old", gold, old), outcomes("new", gold, new), {}, margin_points=10.0)
        decision = decide(*counted(2000, 40, 0), margin_points=1.0, grew=True, checks=[check])
        named += not decision.released and "of the class “c3”" in decision.reason
    assert named >= 39


@FEW
@given(st.integers(1, 400), st.integers(0, 60), st.integers(0, 60), st.floats(0, 60))
def test_a_fall_is_refused_only_above_the_margin_and_when_it_is_sure(
    n: int, won: int, lost: int, margin: float
) -> None:
    won, lost = min(won, n // 2), min(lost, n // 2)
    old, new = counted(n, won, lost)
    rest = counted(50, 0, 0, "b")
    check = floor_check(
        old.joined(replace(rest[0], rows=tuple(f"x{i}" for i in range(50)))),
        new.joined(replace(rest[1], rows=tuple(f"x{i}" for i in range(50)))),
        {},
        margin_points=margin,
    )
    chance = sum(math.comb(won + lost, k) for k in range(lost, won + lost + 1)) / 2 ** (won + lost)
    assert check.passed == (not (lost - won > margin / 100 * n and chance <= 0.05))


@FEW
@given(st.lists(st.integers(0, 30), max_size=80), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_levels_of_all_tests_that_can_refuse_add_up_to_no_more_than_alpha(
    differ: list[int], alpha: float
) -> None:
    level = tarone(differ, alpha)
    can = sum(2.0**-k <= level for k in differ)
    assert can * level <= alpha * (1 + 1e-9)
    assert level >= alpha / max(1, len(differ)) * (1 - 1e-9)


def test_classes_too_small_to_fall_alone_fall_together() -> None:
    gold = tuple(f"rare{i % 8}" for i in range(24)) + ("big",) * 400
    old = np.ones(len(gold), bool)
    new = old.copy()
    new[:9] = False
    check = floor_check(outcomes("old", gold, old), outcomes("new", gold, new), {}, margin_points=10.0)
    assert not check.passed
    decision = decide(*counted(2000, 40, 0), margin_points=1.0, grew=True, checks=[check])
    assert "of 24 rows of classes with few rows it answers 62.5 % right" in decision.reason


def test_a_slice_that_fell_is_named_though_no_class_did() -> None:
    gold = tuple(f"c{i % 30}" for i in range(600))
    han = np.arange(600) % 7 == 0
    old, new = np.ones(600, bool), ~(han & (np.arange(600) % 2 == 0))
    slices = {"language": tuple("han" if one else "other" for one in han), "source": ("tickets",) * 600}
    check = floor_check(outcomes("old", gold, old), outcomes("new", gold, new), slices, margin_points=10.0)
    assert [(fall["kind"], fall["value"]) for fall in falls(check)] == [("language", "han")]


def falls(check: Check) -> list[dict[str, object]]:
    found = check.figures["fell"]
    assert isinstance(found, list)
    return found


def test_golden_rows_newly_wrong_refuse_and_noise_does_not() -> None:
    for (n, won, lost), passed in {
        (100, 0, 8): False,
        (100, 3, 14): False,
        (100, 8, 8): True,
        (100, 4, 7): True,
        (1000, 0, 8): True,  # within the margin of 1 point
        (20, 0, 4): True,  # four might be chance
        (20, 0, 5): False,
        (0, 0, 0): True,
    }.items():
        check = golden_check(*counted(n, won, lost), margin_points=1.0)
        assert check.passed is passed, (n, won, lost)
    decision = decide(
        *counted(2000, 40, 0),
        margin_points=1.0,
        grew=True,
        checks=[golden_check(*counted(100, 0, 8), margin_points=1.0)],
    )
    assert not decision.released
    assert "8 of the 100 golden rows are newly wrong" in decision.reason


def test_size_work_and_calibration_each_refuse_alone() -> None:
    good = counted(800, 30, 0)
    gate = GateRecipe(size=60)
    old, new = shown(good[0]), shown(good[1])
    assert decide(*good, margin_points=1, grew=True, checks=checks_of(gate, old, new)).released
    for name, worse, said in (
        ("size", replace(new, size=60_001), "it takes 60.0 KB, and the recipe allows 60"),
        ("work", replace(new, work=151.0), "1.51 times the weights"),
        ("calibration", shown(good[1], sure=0.5), "its confidence is off by"),
    ):
        checks = checks_of(gate, old, worse)
        assert [check.name for check in checks if not check.passed] == [name]
        decision = decide(*good, margin_points=1, grew=True, checks=checks)
        assert not decision.released
        assert decision.reason.startswith("Refused: the challenger answers")
        assert said in decision.reason
    assert checks_of(gate, None, replace(new, size=60_001))[0].passed is False
    first = decide(None, good[1], margin_points=1, grew=True, checks=checks_of(gate, None, old))
    assert first.released
    first = decide(None, good[1], margin_points=1, grew=True, checks=[size_check(61_000, 60)])
    assert (first.released, first.reason) == (
        False,
        "Refused: it takes 61.0 KB, and the recipe allows 60.",
    )


def test_calibration_is_refused_only_beyond_the_noise() -> None:
    few, many = counted(15, 0, 0), counted(800, 0, 0)
    for pair, passed in ((many, False), (few, False)):
        old, new = shown(pair[0], 0.99), shown(pair[1], 0.9)
        assert (
            calibration_check(old, new, points=3.0).passed is passed
        )  # the same gap on every row is no noise
    draws = np.random.default_rng(3)
    found = []
    for _ in range(60):
        gold = ("a",) * 120
        right = [draws.random(120) < 0.8 for _ in range(2)]
        sides = [shown(outcomes(name, gold, ok), 0.8) for name, ok in zip("xy", right, strict=True)]
        found.append(calibration_check(*sides, points=3.0).passed)
    assert np.mean(found) >= 0.95


def everything() -> tuple[tuple[Outcomes, Outcomes], list[Check]]:
    fell = counted(40, 0, 20, "refund")
    rest = counted(400, 0, 0, "other")
    pair = tuple(
        one.joined(replace(two, rows=tuple(f"x{i}" for i in range(400))))
        for one, two in zip(fell, rest, strict=True)
    )
    checks = [
        floor_check(pair[0], pair[1], {}, margin_points=10.0),
        golden_check(*counted(60, 0, 9), margin_points=1.0),
        size_check(900_000, 500),
        work_check(100, 200, 1.5),
        calibration_check(shown(rest[0], 0.99), shown(rest[1], 0.7), points=3.0),
    ]
    return (pair[0], pair[1]), checks


def test_all_reasons_come_at_once_in_one_line_and_stand_in_the_evidence() -> None:
    pair, checks = everything()
    decision = decide(*pair, margin_points=1.0, grew=True, checks=checks)
    assert decision.reason.startswith("Refused: the challenger answers 95.5 % of 440 held-out rows right")
    for said in (
        "recipe allows 1.0. Also: ",
        "of the class “refund”",
        "golden rows",
        "KB",
        "times",
        "confidence",
    ):
        assert said in decision.reason
    assert decision.reason.count("\n") == 0
    evidence = json.loads(json.dumps(decision.evidence))
    assert {check["check"]: check["passed"] for check in evidence["checks"]} == dict.fromkeys(
        ("margin", "floors", "golden", "size", "work", "calibration"), False
    )
    chinese = explain(evidence, "zh")
    assert explain(evidence) == decision.reason
    assert chinese.startswith("已拒绝：")
    assert all(said in chinese for said in ("此外：", "“refund”", "黄金数据", "KB", "倍", "把握"))
    assert "{" not in chinese + decision.reason


def test_many_falls_are_counted_not_listed() -> None:
    gold = tuple(f"c{i % 12}" for i in range(480))
    check = floor_check(
        outcomes("old", gold, np.ones(480, bool)),
        outcomes("new", gold, np.arange(480) % 7 > 4),
        {},
        margin_points=10,
    )
    decision = decide(*counted(480, 0, 200), margin_points=1.0, grew=True, checks=[check])
    assert len(falls(check)) == 12
    assert decision.reason.count("of the class") == 3
    assert decision.reason.endswith("9 more classes or slices fell; a class or a slice may lose 10.0 points.")


def test_a_channel_with_few_rows_follows_only_where_its_own_checks_and_those_of_all_pass() -> None:
    sides = [{"big": counted(900, 40, 5)[i], "few": counted(40, 1, 1)[i]} for i in (0, 1)]
    bad = golden_check(*counted(60, 0, 9), margin_points=1.0)
    for checks, together, released in (
        ({}, (), True),
        ({"few": [bad]}, (), False),
        ({"big": [bad]}, (), True),
        ({}, [bad], False),
    ):
        found = decide_shared(*sides, margin_points=3.0, grew=True, checks=checks, together=together)
        assert found["few"].released is released
        assert found["big"].released is ("big" not in checks)


def test_channels_together_count_a_golden_row_once() -> None:
    golden = counted(60, 0, 4)
    each = [shown(counted(40, 0, 0)[1], golden=golden[1]) for _ in range(3)]
    assert len(Shown.of_all(each).golden.rows) == 60
    assert len(Shown.of_all(each).outcomes.rows) == 120


def test_both_sides_must_be_judged_on_the_same_rows() -> None:
    with pytest.raises(InputError, match="same rows"):
        floor_check(counted(10, 0, 0)[0], counted(11, 0, 0)[1], {}, margin_points=1)
    with pytest.raises(InputError, match="slice"):
        floor_check(*counted(10, 0, 0), {"language": ["han"]}, margin_points=1)


def test_both_languages_give_every_reason_with_the_same_figures() -> None:
    def figures(sentence: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}

    assert {key: figures(text) for key, text in ENGLISH.items()} == {
        key: figures(text) for key, text in CHINESE.items()
    }
