"""What the benchmark of the guarantee counts: broken splits, shares, and the picture of them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.figures import Figure
from benchmarks.support import Asked, interval, lines, plain, ratio, rows_needed, split_up
from benchmarks.support_plot import Line, draw


@pytest.fixture(scope="module")
def asked() -> Asked:
    random = np.random.default_rng(0)
    scores = random.random(2000)
    return Asked(scores, random.random(2000) >= 0.6 * (1 - scores) ** 2)


def test_a_plain_threshold_breaks_half_of_the_splits_and_the_guarantee_few(asked: Asked) -> None:
    found = {rule: split_up(asked, 700, 0.05, rule, 60) for rule in ("guarantee", "plain threshold")}
    assert found["guarantee"].broken.mean() <= 0.1 < 0.3 < found["plain threshold"].broken.mean()
    assert 0.6 < found["guarantee"].of_best < found["plain threshold"].of_best
    assert (found["guarantee"].best == found["plain threshold"].best).all(), "the same splits"


def test_a_split_is_broken_where_more_than_the_target_of_the_answered_is_wrong() -> None:
    rows = Asked(np.full(20, 0.97), np.arange(20) < 18)
    assert split_up(rows, 0, 0.04, "raw softmax", 1).broken.all()
    assert not split_up(rows, 0, 0.1, "raw softmax", 1).broken.any()
    assert split_up(rows, 0, 0.02, "raw softmax", 1).share[0] == 0.0


def test_the_best_threshold_is_the_lowest_that_holds() -> None:
    rows = Asked(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, False, True, True, False]))
    assert plain(rows, 0.25) == 0.6
    assert plain(rows, 0.2) == 0.9
    assert plain(Asked(rows.scores, np.zeros(5, bool)), 0.2) is None


def test_needs_grow_as_the_target_falls(asked: Asked) -> None:
    few, many = (rows_needed(asked, target, 0.8, 5, 8000) for target in (0.1, 0.05))
    assert few is not None
    assert many is not None
    assert few < many
    assert rows_needed(asked, 0.001, 0.8, 2, 400) is None


def test_shares_are_over_what_was_possible() -> None:
    share, best = np.array([0.2, 0.4]), np.array([0.4, 0.8])
    assert ratio(share, best) == pytest.approx(0.5)
    assert interval(share, best) == (50.0, 50.0)
    assert ratio(share, np.zeros(2)) == 0.0


def test_the_picture_shows_every_rule() -> None:
    figures = [
        Figure(f"a, {target} % may be wrong, {rule}: {what}", 3.0, "%", (1.0, 5.0))
        for target in (1, 5)
        for rule in ("guarantee", "raw softmax")
        for what in ("broken splits", "answered alone", "answered alone, of what the best threshold answers")
    ]
    found = lines([*figures, Figure("a, 1 % may be wrong: rows that answer", 3.0, "rows")])
    assert len(found) == 8
    assert found[0] == Line("a", 1.0, "guarantee", "broken splits", 3.0, (1.0, 5.0))
    assert "raw softmax" in draw(found)
