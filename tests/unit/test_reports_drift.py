"""Drift told: which words grew, which labels moved, weeks of judged answers, and what is new of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from headrace.evaluation.intervals import wilson
from headrace.reports.drift import (
    AccuracyDrift,
    InputDrift,
    accuracy_drift,
    first_day,
    grown,
    input_drift,
    label_shifts,
    together,
)
from headrace.store.windows import Day

NOW = datetime(2026, 3, 18, 12, tzinfo=UTC)  # a Wednesday
LAST = date(2026, 3, 9)


def days(before: int, after: int, of: int = 200) -> list[Day]:
    """`before` of `of` right in each of the four weeks before the last full one, `after` in that one."""
    weeks = [Day("intent", "desk", f"{LAST - timedelta(weeks=w)}", of, before) for w in range(1, 5)]
    first, half = after // 2, of // 2
    last = [
        Day("intent", "desk", f"{LAST}", half, first),
        Day("intent", "desk", "2026-03-15", half, after - first),
    ]
    return weeks + last


def test_words_that_grew_are_shown_where_enough_questions_hold_them() -> None:
    old = [f"where is my order {i}" for i in range(60)]
    new = [f"where is my parcel {i}" for i in range(58)] + ["Ann Smith paid", "her secret word"]
    assert [one.word for one in grown(old, new)] == ["parcel"]
    chinese = grown([f"我的订单在哪里{i}" for i in range(60)], [f"我要退款{i}" for i in range(60)])
    assert "退款" in [one.word for one in chinese]
    assert grown(old, old) == ()


def test_labels_whose_share_moved_are_told_with_the_interval_of_the_difference() -> None:
    taught, asked = ["a"] * 100 + ["b"] * 100, ["a"] * 30 + ["b"] * 100 + ["c"] * 70
    found = label_shifts(taught, asked)
    assert [one.label for one in found] == ["a", "c"]
    assert found[0].difference.high < 0 < found[1].difference.low
    assert label_shifts(taught, taught) == ()


def test_the_alarms_of_one_look_are_shared_and_an_old_one_is_not_new() -> None:
    draws = np.random.default_rng(0)
    texts = [{f"{side} {i}": "a" for i in range(60)} for side in ("where is it", "give me money")]
    near, far = (draws.normal(size=(60, 8)).astype(np.float32) + off for off in (0, 3))
    moved = input_drift(("intent", "desk"), texts[0], texts[1], (near, far), seed=0)
    same = input_drift(("intent", "forum"), texts[0], texts[0], (near, near[::-1]), seed=0)
    found = together([same, moved])
    assert [(one.channel, one.alarm, one.new) for one in found] == [
        ("desk", True, True),
        ("forum", False, True),
    ]
    assert "has changed" in found[0].sentence
    assert "money" in found[0].sentence
    assert "like what was taught" in found[1].sentence
    again = together([replace(same), moved], found)
    assert [one.new for one in again] == [False, True]
    assert "所问的变了" in found[0].told("zh")
    assert isinstance(found[0], InputDrift)


@pytest.mark.parametrize(
    ("before", "after", "alarm"), [(180, 178, False), (180, 120, True), (120, 180, True)]
)
def test_the_last_full_week_is_compared_with_the_four_before(before: int, after: int, alarm: bool) -> None:
    (found,) = accuracy_drift(days(before, after), "feedback", NOW)
    assert (found.alarm, found.new) == (alarm, True)
    assert len(found.weeks) == 5
    assert found.weeks[-1].right == wilson(after, 200)
    assert found.change is not None
    assert found.change.value == pytest.approx((after - before) / 200)
    assert ("no chance" in found.sentence) == alarm
    (again,) = accuracy_drift(days(before, after), "feedback", NOW, [found])
    assert again.new is not alarm


def test_a_week_that_is_not_full_alarms_nobody_and_of_few_judged_answers_nothing_is_said() -> None:
    today = Day("intent", "desk", f"{NOW.date()}", 500, 0)
    (found,) = accuracy_drift([*days(180, 180), today], "audits", NOW)
    assert not found.alarm
    (bare,) = accuracy_drift([today], "audits", NOW)
    assert (bare.change, bare.alarm) == (None, False)
    assert "too few" in bare.sentence
    assert first_day(NOW) == datetime(2025, 12, 29, tzinfo=UTC)
    assert isinstance(bare, AccuracyDrift)
