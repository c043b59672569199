"""Draws of trials: fair, sticky, and blind to the answers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.records import Answer, Stage, utc_now
from headrace.serving.engine import Beside, Scored
from headrace.serving.shadows import shadow_of
from headrace.serving.trials import OpenTrial, covering, draw

NOW = utc_now()
names = st.text(min_size=1, max_size=20)
shares = st.floats(0.01, 0.99)
MANY = 2_000
FAR = 5  # standard deviations: one run in two million strays as far


def trial(stage: Stage, share: float, salt: str = "salt", name: str = "trl_1") -> OpenTrial:
    return OpenTrial(name, "intent", "shop", "old", "new", stage, salt, share, share, share)


def scored(label: str, adapter: str) -> Scored:
    chances = np.array([0.9 if one == label else 0.1 for one in ("a", "b")], np.float32)
    return Scored(("a", "b"), chances, "rel", adapter, np.zeros(2, np.float32))


def within(count: int, share: float) -> bool:
    return abs(count - MANY * share) <= FAR * math.sqrt(MANY * share * (1 - share)) + 1


@settings(max_examples=30, deadline=None)
@given(salt=names, share=shares)
def test_each_draw_takes_its_share_and_no_two_know_of_each_other(salt: str, share: float) -> None:
    one = trial("canary", share, salt)
    draws = {
        "canary": [one.sends_challenger(f"user {n}") for n in range(MANY)],
        "watch": [one.compares(f"user {n}") for n in range(MANY)],
        "audit": [one.draws(f"user {n}") for n in range(MANY)],
    }
    assert all(within(sum(drawn), share) for drawn in draws.values())
    both = sum(a and b for a, b in zip(draws["canary"], draws["audit"], strict=True))
    assert within(both, share * share)


@settings(max_examples=50, deadline=None)
@given(salt=names, user=names, other=names, share=shares)
def test_a_user_stays_where_he_is_and_another_trial_draws_anew(
    salt: str, user: str, other: str, share: float
) -> None:
    one = trial("canary", share, salt)
    sends = one.sends_challenger(user)
    again = replace(one, id="trl_2", stage="canary")  # another process, or a restart
    assert [again.sends_challenger(user) for _ in range(3)] == [sends] * 3
    assert draw(salt, "canary", user) == draw(salt, "canary", user)
    if other != salt:
        assert draw(other, "canary", user) != draw(salt, "canary", user)
    # A larger share keeps those that the smaller one chose.
    assert not sends or replace(one, canary=min(1.0, share + 0.2)).sends_challenger(user)


@settings(max_examples=50, deadline=None)
@given(name=names, share=shares, labels=st.lists(st.sampled_from("ab"), min_size=4, max_size=4))
def test_the_coin_is_the_same_whatever_the_answers_are(name: str, share: float, labels: list[str]) -> None:
    one, coins = trial("shadow", share), set()
    for mine, its in zip(labels[:2], labels[2:], strict=True):
        sent = Answer(name, "shop", "intent", "text", mine, 0.9, "rel", "old", NOW)
        shadow = shadow_of(sent, replace(scored(mine, "old"), beside=Beside(one, scored(its, "new"))))
        assert shadow is not None
        assert (shadow.differs, shadow.rate, shadow.adapter) == (mine != its, share, "new")
        coins.add(shadow.drawn)
    assert coins == {one.draws(name)}


@settings(max_examples=30, deadline=None)
@given(label=st.sampled_from("ab"), its=st.sampled_from("ab"))
def test_where_a_correction_decides_both_say_what_it_says(label: str, its: str) -> None:
    sent = Answer("ans", "shop", "intent", "text", label, 0.5, "rel", "old", NOW, because="fb_1")
    shadow = shadow_of(
        sent, replace(scored("a", "old"), beside=Beside(trial("shadow", 1.0), scored(its, "new")))
    )
    assert shadow is not None
    assert (shadow.label, shadow.differs) == (label, False)


def test_a_watch_has_its_share_of_rows_and_the_canarys_users_stay_its_own() -> None:
    watch, canary = (
        replace(trial("watch", 0.25, "w"), canary=0.0),
        replace(trial("canary", 0.5, "c"), watch=1.0),
    )
    for order in ((watch, canary), (canary, watch)):
        found = [covering(order, f"user {n % 50}", f"ans {n}") for n in range(MANY)]
        mine = [canary.sends_challenger(f"user {n % 50}") for n in range(MANY)]
        assert all(one is not None for one in found)
        assert all(one is canary for one, is_mine in zip(found, mine, strict=True) if is_mine)
        others = [one for one, is_mine in zip(found, mine, strict=True) if not is_mine]
        assert abs(sum(one is watch for one in others) / len(others) - 0.25) < 0.05
    assert covering((), "user", "ans") is None
