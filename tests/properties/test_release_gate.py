"""The gate by simulation: how often it errs, and that it says what it does."""

from __future__ import annotations

import json
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.evaluation import Outcomes
from headrace.release import decide, decide_shared, explain, prefer_own
from headrace.release.sentences import CHINESE, ENGLISH

FEW = settings(max_examples=50, deadline=None)


def pair(both: int, won: int, lost: int, neither: int) -> tuple[Outcomes, Outcomes]:
    """A champion and a challenger with these counts; gold labels alternate."""
    n = both + won + lost + neither
    rows = tuple(f"r{i}" for i in range(n))
    gold = tuple("ab"[i % 2] for i in range(n))

    def answers(right: list[bool]) -> tuple[str, ...]:
        return tuple(g if ok else "ab"[g == "a"] for g, ok in zip(gold, right, strict=True))

    old = [True] * both + [False] * won + [True] * lost + [False] * neither
    new = [True] * both + [True] * won + [False] * lost + [False] * neither
    return Outcomes("old", rows, gold, answers(old)), Outcomes("new", rows, gold, answers(new))


@pytest.mark.parametrize(("n", "differ"), [(250, 0.1), (1000, 0.1), (1000, 0.2)])
def test_a_loss_of_twice_the_margin_is_seldom_released(n: int, differ: float) -> None:
    margin, runs, released = 0.03, 400, 0
    rng = np.random.default_rng(5)
    won, lost = (differ - 2 * margin) / 2, (differ + 2 * margin) / 2
    for w, x, same in rng.multinomial(n, [won, lost, 1 - won - lost], runs):
        released += decide(*pair(int(same), int(w), int(x), 0), margin_points=3.0, grew=True).released
    assert released / runs <= 0.05


def test_a_loss_of_the_margin_itself_is_released_no_more_often_than_the_confidence_allows() -> None:
    rng = np.random.default_rng(6)
    found = [
        decide(*pair(int(same), int(w), int(x), 0), margin_points=3.0, grew=True).released
        for w, x, same in rng.multinomial(500, [0.035, 0.065, 0.9], 1000)
    ]
    assert np.mean(found) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 1000)


@FEW
@given(st.integers(0, 400), st.sampled_from([1.0, 2.0, 3.0]), st.booleans())
def test_an_identical_challenger_is_released_when_it_learned_more_and_the_rows_are_enough(
    n: int, margin: float, grew: bool
) -> None:
    decision = decide(*pair(n, 0, 0, 0), margin_points=margin, grew=grew)
    needed = decision.evidence["rows_needed"]
    assert isinstance(needed, int)
    assert decision.released == (grew and n >= needed)


@FEW
@given(*[st.integers(0, 40)] * 4, st.floats(0, 10), st.booleans())
def test_released_means_no_loss_above_the_margin_within_the_interval(
    both: int, won: int, lost: int, neither: int, margin: float, grew: bool
) -> None:
    decision = decide(*pair(both, won, lost, neither), margin_points=margin, grew=grew)
    comparison = decision.evidence["comparison"]
    assert isinstance(comparison, dict)
    n, low = both + won + lost + neither, comparison["difference"]["low"]
    assert decision.released == (n > 0 and low >= -margin / 100 and (won > lost or grew))
    assert decision.reason.startswith("Released") == decision.released
    assert json.loads(json.dumps(decision.evidence)) == decision.evidence
    for language in ("en", "zh"):
        said = explain(decision.evidence, language)
        assert "{" not in said
        assert "\n" not in said


@FEW
@given(*[st.integers(0, 60)] * 4)
def test_a_refusal_for_few_rows_names_more_rows_than_there_are(
    both: int, won: int, lost: int, neither: int
) -> None:
    decision = decide(*pair(both, won, lost, neither), margin_points=1.0, grew=True)
    if decision.evidence["verdict"] in ("too-few", "no-rows"):
        needed = decision.evidence["rows_needed"]
        assert isinstance(needed, int)
        assert needed > both + won + lost + neither
        assert f"about {needed} are needed" in decision.reason


def test_a_worse_challenger_is_refused_in_plain_words() -> None:
    decision = decide(*pair(210, 10, 38, 52), margin_points=3.0, grew=True)
    assert decision.reason == (
        "Refused: the challenger answers 71.0 % of 310 held-out rows right, the serving one 80.0 %; the loss"
        " is between 4.9 and 13.6 points, and the recipe allows 3.0."
    )


def test_a_margin_of_nothing_says_how_to_get_out() -> None:
    decision = decide(*pair(300, 0, 0, 0), margin_points=0.0, grew=True)
    assert not decision.released
    assert "give the recipe a margin above 0" in decision.reason


def test_a_first_adapter_must_beat_the_most_frequent_label() -> None:
    rows = tuple(str(i) for i in range(60))
    gold = ("a",) * 40 + ("b",) * 20
    good = decide(None, Outcomes("x", rows, gold, gold), margin_points=1, grew=True)
    lazy = decide(None, Outcomes("x", rows, gold, ("a",) * 60), margin_points=1, grew=True)
    almost = decide(None, Outcomes("x", rows, gold, ("a",) * 59 + ("b",)), margin_points=1, grew=True)
    assert [d.released for d in (good, lazy, almost)] == [True, False, True]
    assert [d.evidence["verdict"] for d in (good, lazy, almost)] == [
        "first",
        "first-not-better",
        "first-unsure",
    ]


def test_a_first_adapter_that_cannot_be_judged_is_released_and_called_unjudged() -> None:
    none = decide(None, Outcomes("x", (), (), ()), margin_points=1, grew=True)
    assert none.released
    assert "unjudged" in none.reason
    rows = tuple(str(i) for i in range(20))
    one = decide(None, Outcomes("x", rows, ("a",) * 20, ("a",) * 20), margin_points=1, grew=True)
    wrong = decide(None, Outcomes("x", rows, ("a",) * 20, ("b",) * 20), margin_points=1, grew=True)
    assert (one.released, wrong.released) == (True, False)
    assert "unjudged" in one.reason


def test_a_channel_gets_its_own_adapter_only_when_its_rows_say_so() -> None:
    for counts, released in (((200, 20, 3, 20), True), ((200, 8, 5, 20), False), ((0, 0, 0, 0), False)):
        shared, own = pair(*counts)
        assert prefer_own(own, shared).released is released
    shared, own = pair(200, 3, 20, 20)
    assert prefer_own(own, shared).evidence["verdict"] == "own-worse"


def test_a_channel_with_few_rows_follows_the_others_unless_it_would_lose() -> None:
    made = {"big": pair(300, 10, 5, 5), "few": pair(50, 1, 1, 8), "hurt": pair(50, 0, 3, 8)}
    old, new = ({name: two[side] for name, two in made.items()} for side in (0, 1))
    found = decide_shared(old, new, margin_points=3.0, grew=True)
    assert {name: (d.released, d.evidence["verdict"]) for name, d in found.items()} == {
        "big": (True, "risen"),
        "few": (True, "followed"),
        "hurt": (False, "few-against"),
    }
    assert decide(old["few"], new["few"], margin_points=3.0, grew=True).released is False


def test_a_shared_adapter_does_not_go_where_it_is_worse() -> None:
    made = {"big": pair(900, 40, 5, 5), "lost": pair(150, 0, 20, 8)}
    old, new = ({name: two[side] for name, two in made.items()} for side in (0, 1))
    found = decide_shared(old, new, margin_points=3.0, grew=True)
    assert (found["big"].released, found["lost"].released) == (True, False)
    assert found["lost"].evidence["verdict"] == "worse"
    with pytest.raises(InputError):
        decide_shared(old, {"big": new["big"]}, margin_points=3.0, grew=True)


def test_both_languages_say_everything_with_the_same_figures() -> None:
    def figures(sentence: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}

    assert {key: figures(text) for key, text in ENGLISH.items()} == {
        key: figures(text) for key, text in CHINESE.items()
    }
