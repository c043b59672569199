"""Checks come in one by one: first everything is a person's, then the sure answers are given alone, then not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete

from headrace.apps.support.guarantee import Guarantee, last_look
from headrace.errors import RecipeError
from headrace.evaluation.confidence import Scale
from headrace.evaluation.risk import error_free
from headrace.recipe import Recipe
from headrace.records import Answer, Check, Conversation, Message
from headrace.store import Store, tables

AT = datetime(2026, 1, 1, tzinfo=UTC)
RECIPE = Recipe.model_validate(
    {
        "name": "shop",
        "tasks": {"intent": {}},
        "channels": {name: {"tasks": ["intent"]} for name in ("website", "partner")},
        "support": {"channels": ["website"], "targets": {"partner": 0.2}, "window": 200, "audit": 0.02},
    }
)
NEEDED = error_free(0.05, 0.95)


class Stand:
    """A store of customer service, and the guarantee over it."""

    def __init__(self, store: Store) -> None:
        self.store, self.said = store, 0
        self.guarantee = Guarantee(store, RECIPE, lambda: AT)
        for channel in ("website", "partner"):
            with store.transaction() as connection:
                store.conversations.begin_in(connection, Conversation(channel, channel, "en", "", AT))

    def check(
        self,
        score: float,
        right: bool | None,
        *,
        channel: str = "website",
        drawn: bool = True,
        adapter: str = "first",
        times: int = 1,
    ) -> None:
        """Answers of `score`; with `right` a person's word on each."""
        with self.store.transaction() as connection:
            for number in range(self.said, self.said + times):
                name, answer = f"m{number}", f"a{number}"
                given = Answer(answer, channel, "intent", "x", "refund", score, "r", adapter, AT)
                said = Message(
                    name, channel, "machine", "x", AT, None, (), answer, "intent", score, drawn=drawn
                )
                self.store.answers.add_in(connection, [given])
                self.store.conversations.say_in(connection, said)
                if right is not None:
                    self.store.tickets.check_in(connection, Check(name, right, "ann", AT))
        self.said += times

    def decide(self, score: float, channel: str = "website") -> str:
        return self.guarantee.decide("intent", channel, score)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with Store.open("store.db", tmp_path, create=True).closing() as store:
        yield Stand(store)


def test_below_the_needed_number_everything_is_a_persons_and_every_message_is_drawn(stand: Stand) -> None:
    for count in range(NEEDED):
        if count % 12 == 0 or count == NEEDED - 1:
            standing = stand.guarantee.state("intent", "website")
            assert (standing.threshold, standing.needed, standing.checked) == (None, NEEDED - count, count)
            assert (stand.decide(0.999), stand.guarantee.rate("intent", "website")) == ("person", 1.0)
        stand.check(0.9, True)
    standing = stand.guarantee.state("intent", "website")
    assert (standing.threshold, standing.needed, standing.alone_share) == (0.9, 0, 1.0)
    assert (standing.target, standing.error.value, standing.error.n) == (0.05, 0.0, NEEDED)
    assert (stand.decide(0.95), stand.decide(0.9), stand.decide(0.1)) == ("alone", "alone", "person")
    assert stand.guarantee.rate("intent", "website") == 0.02
    assert stand.decide(0.95, "partner") == "person", "a channel's checks say nothing of another"


def test_only_drawn_answers_count_and_a_channel_has_its_own_target(stand: Stand) -> None:
    stand.check(0.9, True, drawn=False, times=NEEDED)
    stand.check(0.9, None)
    standing = stand.guarantee.state("intent", "website")
    assert (standing.checked, standing.waiting, standing.threshold) == (0, 1, None)
    stand.check(0.6, True, channel="partner", times=error_free(0.2, 0.95))
    assert stand.decide(0.6, "partner") == "alone"
    assert stand.guarantee.state("intent", "partner").target == 0.2


def test_mistakes_raise_the_threshold_at_once_and_too_many_withdraw_it(stand: Stand) -> None:
    for score in (0.97, 0.9) * NEEDED:
        stand.check(score, True)
    assert (stand.decide(0.97), stand.decide(0.9)) == ("alone", "alone")
    stand.check(0.9, False, times=9)
    assert (stand.decide(0.97), stand.decide(0.9)) == ("alone", "ask")
    stand.check(0.99, False, times=9)
    assert stand.decide(0.999) == "person"
    assert stand.guarantee.rate("intent", "website") == 1.0


def test_who_is_nearly_sure_asks_back_and_every_process_decides_alike(stand: Stand) -> None:
    random = np.random.default_rng(0)
    for score in random.random(200):
        stand.check(float(score), bool(random.random() < score**0.3 + 0.05))
    standing = stand.guarantee.state("intent", "website")
    assert standing.threshold is not None
    assert standing.asked is not None
    assert standing.asked < standing.threshold
    assert stand.decide(standing.threshold) == "alone"
    assert stand.decide((standing.asked + standing.threshold) / 2) == stand.decide(standing.asked) == "ask"
    assert stand.decide(standing.asked - 1e-6) == "person"
    below = standing.scale.chance(standing.threshold) - standing.scale.chance(standing.asked)
    assert below == pytest.approx(RECIPE.support.ask_back, abs=1e-6)
    assert Guarantee(stand.store, RECIPE, lambda: AT).state("intent", "website") == standing


def test_checks_that_are_deleted_or_corrected_promise_nothing_any_more(stand: Stand) -> None:
    stand.check(0.9, True, times=NEEDED)
    assert stand.decide(0.9) == "alone"
    with stand.store.transaction() as connection:
        connection.execute(delete(tables.checks).where(tables.checks.c.message == "m3"))
    assert stand.decide(0.9) == "person", "deleted: too few are left"
    stand.check(0.9, True)
    assert stand.decide(0.9) == "alone"
    with stand.store.transaction() as connection:
        assert stand.store.tickets.recheck_in(connection, Check("m5", False, "bob", AT))
        assert not stand.store.tickets.recheck_in(connection, Check("m5", False, "bob", AT))
    assert stand.decide(0.9) == "person", "corrected: one is wrong"


def test_old_checks_leave_the_window(stand: Stand) -> None:
    stand.check(0.9, False, times=100)
    stand.check(0.9, True, times=200)
    standing = stand.guarantee.state("intent", "website")
    assert (standing.checked, standing.error.value) == (200, 0.0)
    assert stand.decide(0.9) == "person", "at the last look old mistakes were among the checks"
    stand.check(0.9, True, times=20)
    assert stand.decide(0.9) == "alone"


def test_a_new_adapter_lives_on_its_predecessors_checks_until_its_own_contradict_them(stand: Stand) -> None:
    stand.check(0.9, True, adapter="old", times=150)
    stand.check(0.9, True, adapter="new")
    assert stand.decide(0.9) == "alone"
    for right in (False, True, False):
        stand.check(0.9, right, adapter="new")
    standing = stand.guarantee.state("intent", "website")
    assert (stand.decide(0.9), standing.checked) == ("person", 4)
    stand.check(0.9, True, adapter="new", times=110)
    assert stand.decide(0.9) == "alone"


def test_a_window_that_can_certify_nothing_is_refused(stand: Stand) -> None:
    support = {"window": 300, "targets": {"website": 0.01}}
    recipe = Recipe.model_validate({"name": "shop", "support": support})
    with pytest.raises(RecipeError, match=r"300 checks certify no target this low. Write 368 or more"):
        Guarantee(stand.store, recipe, lambda: AT)


def test_looks_begin_where_something_can_be_certified_and_come_a_tenth_apart() -> None:
    looks = sorted({last_look(total, 72, 200) for total in range(400)})
    assert looks[:5] == [0, 72, 79, 86, 94]
    assert {later - one for one, later in zip(looks[-8:], looks[-7:], strict=False)} == {20}


def test_a_scale_finds_how_sure_the_answers_really_are_and_keeps_their_order() -> None:
    random = np.random.default_rng(1)
    true = Scale(temperature=2.0, offset=-1.0)
    scores = random.random(4000)
    right = random.random(4000) < [true.chance(score) for score in scores]
    found = Scale.fit(scores, right)
    assert found.temperature == pytest.approx(2.0, rel=0.15)
    assert found.offset == pytest.approx(-1.0, abs=0.15)
    assert found.score(found.chance(0.7)) == pytest.approx(0.7)
    assert (found.score(-0.1), found.score(1.5)) == (0.0, 1.0)
    assert Scale.fit(np.zeros(0), np.zeros(0, bool)) == Scale()
    assert 0 < Scale.fit(np.ones(50), np.ones(50, bool)).chance(0.0) < 1
