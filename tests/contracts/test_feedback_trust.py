"""What counts of what users say, decided alike in both databases (OWASP LLM04, ML02)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from trust_stand import NOON, Desk

from headrace.data.texts import text_key
from headrace.errors import Conflict, InputError, NotFound
from headrace.feedback.judge import accept, reject, undo
from headrace.recipe import TrustRecipe
from headrace.records import Example, Feedback
from headrace.store import Store

EVENT: dict[str, Any] = {"clock": lambda: NOON, "ids": lambda kind: f"{kind}_1"}


def test_one_person_has_so_many_live_corrections_in_a_region(store: Store) -> None:
    desk = Desk(store)
    made = [desk.correct(degree) for degree in (0, 3, 6, 9)]
    assert [one.state for one in made] == ["counts"] * 3 + ["held"]
    assert "person: 3 corrections" in str(made[3].reason)
    assert desk.correct(90).state == "counts", "elsewhere the same person counts"
    assert desk.correct(5, person="bea").state == "counts", "and another person here"


def test_a_chain_of_near_ones_makes_no_region_of_more(store: Store) -> None:
    desk = Desk(store)
    made = [desk.correct(degree, text=f"q{n}") for n, degree in enumerate((0, -8, 8, -9.5, 9.5))]
    assert [one.state for one in made] == ["counts"] * 3 + ["held"] * 2


def test_the_same_text_is_one_region_whatever_its_vectors_are(store: Store) -> None:
    desk = Desk(store)
    states = [desk.correct(40 * n, text="Same  text", space=f"adp_{n}").state for n in range(4)]
    assert states == ["counts"] * 3 + ["held"]


def test_days_have_caps_by_person_key_unnamed_and_region(store: Store) -> None:
    desk = Desk(store, TrustRecipe(person_day=2, unnamed_day=2, key_day=6, region_day=3))
    for person, reason in (("ann", "person a day: 2"), (None, "unnamed a day: 2")):
        made = [desk.correct(12.0 * n, "x", person, text=f"{person} {n}") for n in range(3)]
        assert [one.state for one in made[:2]] == ["counts", "counts"]
        assert str(made[2].reason).startswith(reason)
    assert desk.correct(150, "x", "bea").state == desk.correct(150, "x", "cid").state == "counts"
    assert str(desk.correct(200, "x", "dan").reason).startswith("key a day: 6")
    assert desk.correct(151, "x", "dan", key="key_2").state == "counts"
    assert str(desk.correct(152, "x", "eve", key="key_2").reason).startswith("region: 3")
    desk.at += timedelta(hours=24)
    assert desk.correct(24, "x", "ann").state == "counts"


def test_a_burst_is_held_and_ends_with_its_minute(store: Store) -> None:
    desk = Desk(store, TrustRecipe(burst=5))
    states = [desk.correct(12 * n, person=f"p{n}").state for n in range(7)]
    assert states == ["counts"] * 5 + ["held"] * 2
    assert desk.correct(100, person=None, key=None).state == "counts", "the owner's own word is no burst"
    desk.at += timedelta(seconds=61)
    assert desk.correct(200, person="p9").state == "counts"


def test_what_contradicts_the_sources_example_waits_for_persons_who_agree(store: Store) -> None:
    example = Example("row_1", "shop", "intent", "where is it", "track", "train", "source", NOON)
    store.examples.settle([(example, text_key("where is it"))])
    desk = Desk(store)
    first = desk.correct(0, "refund", "ann", text="Where is it")
    assert first.state == "held"
    assert "an example of the same text says 'track'; 1 of 2 persons say 'refund'" in str(first.reason)
    assert desk.correct(0, "refund", "ann", text="where is it").state == "held", "one person is one voice"
    assert desk.correct(0, "track", "dan", text="where is it").state == "counts"
    assert desk.correct(2, "refund", "bea", text="where is it").state == "agreed"
    assert [one.person for one in desk.live() if one.label == "refund"] == ["bea", "ann", "ann"]


def test_what_contradicts_a_live_correction_needs_another_person(store: Store) -> None:
    desk = Desk(store)
    assert desk.correct(0, "refund", "ann").state == "counts"
    assert desk.correct(1, "return", "ann").state == "counts", "one may change one's mind"
    held = desk.correct(2, "price", "bea")
    assert str(held.reason).startswith("contested: somebody else says 'refund' of the same question")
    assert desk.correct(30, "price", "bea").state == "counts", "another question"
    agreed = desk.correct(4, "price", "cid")
    assert [agreed, *store.feedback.get([held.id])] == store.feedback.list(state="agreed")[::-1]
    assert {one.id for one in store.feedback.list(state="counts")} >= {held.id, agreed.id}
    with store.database.read() as connection:
        found = store.feedback.agreed_in(connection)
    assert found == {held.id: [held.id, agreed.id], agreed.id: [agreed.id, held.id]}
    shown = [one.reason for one in (agreed, *store.feedback.list()) if one.state == "agreed"]
    assert shown == ["others say the same"] * 3, "of other people's feedback no id is shown"


def test_whoever_names_nobody_is_one_voice(store: Store) -> None:
    desk = Desk(store)
    desk.correct(0, "refund", "ann")
    assert [desk.correct(1, "price", None).state for _ in range(3)] == ["held"] * 3


def test_those_who_agree_stay_within_their_own_caps(store: Store) -> None:
    desk = Desk(store, TrustRecipe(person_day=1))
    desk.correct(0, "refund", "zoe")
    held = desk.correct(1, "price", "ann")
    desk.correct(90, "price", "ann")
    assert desk.correct(2, "price", "bea").state == "agreed"
    assert store.feedback.get([held.id])[0].state == "held"


def test_the_owners_word_counts_whatever_was_said(store: Store) -> None:
    desk = Desk(store, TrustRecipe(person=1, region_day=2))
    desk.correct(0, "refund", "ann")
    assert [desk.correct(0, "price", None, key=None).state for _ in range(5)] == ["counts"] * 5
    desk.undo("fb_00001")
    assert "the owner says 'price' of the same question" in str(desk.correct(1, "refund", "bea").reason)


def test_what_is_held_counts_for_nothing_until_it_is_accepted(store: Store) -> None:
    desk = Desk(store, TrustRecipe(person=1))
    desk.correct(0)
    held = [desk.correct(1), desk.correct(2)]
    assert store.feedback.waiting() == [one for one in store.feedback.list() if one.state == "counts"]
    accept(store, [held[0].id], **EVENT)
    reject(store, [held[1].id], **EVENT)
    assert [one.id for one in desk.live()] == ["fb_00001", held[0].id]
    assert store.feedback.list(state="undone")[0].reason == "rejected by the owner"
    for change in (accept, reject):
        with pytest.raises(Conflict, match="is not held"):
            change(store, [held[0].id], **EVENT)


def test_undo_takes_one_or_all_of_a_person_and_frees_the_cap(store: Store) -> None:
    desk = Desk(store, TrustRecipe(person=1))
    first, other = desk.correct(0), desk.correct(0, person="bea")
    desk.undo(first.id)
    assert desk.live() == [other]
    assert desk.correct(0).state == "counts"
    assert len(desk.undo(person="ann")) == 1
    assert desk.live() == [other]
    assert [event.kind for event in store.history.events()] == ["feedback", "feedback"]
    with pytest.raises(NotFound, match="given no feedback"):
        desk.undo(person="nobody")
    with pytest.raises(NotFound, match="fb_none"):
        desk.undo("fb_none")
    with pytest.raises(InputError):
        undo(store, **EVENT)


def test_an_accepted_correction_takes_effect_after_those_that_came_meanwhile(store: Store) -> None:
    desk = Desk(store)
    for label, person in (("a", "ann"), ("b", "bea"), ("a", "cid")):
        desk.correct(0, label, person, text="same")
    accept(store, ["fb_00002"], **EVENT)
    assert [one.id for one in desk.live()] == ["fb_00001", "fb_00003", "fb_00002"]
    desk.correct(0, "a", "dan", text="same")
    assert [one.id for one in desk.live()][-1] == "fb_00004"


def test_verdicts_without_a_label_are_not_counted(store: Store) -> None:
    desk = Desk(store, TrustRecipe(person_day=1))
    desk.correct(0)
    said = replace(store.feedback.list()[0], id="fb_right", verdict="right", label=None)
    assert isinstance(said, Feedback)
    store.feedback.add(said)
    assert [one.id for one in desk.live()] == ["fb_00001"]
    assert "person a day: 1" in str(desk.correct(90).reason)
