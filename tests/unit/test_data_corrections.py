"""Feedback becomes examples, and the owner takes rejected rows back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from data_parts import NOW, bring, examples, feed, now, recipe, say, settle, splits

from headrace.data.corrections import Absorbed, absorb_feedback
from headrace.data.quarantine import restore, restore_all
from headrace.data.split import hash_split
from headrace.data.texts import text_key
from headrace.errors import Conflict, InputError, NotFound
from headrace.recipe import Recipe
from headrace.records import Answer, Example, Feedback, Row
from headrace.store import Store

MADE = recipe()
LONG = "how do i change the address of an order that was sent to my old flat last week"


def absorb(store: Store, made: Recipe = MADE) -> Absorbed:
    return absorb_feedback(store, made, clock=now)


def labels(store: Store) -> dict[str, str]:
    return {e.text: e.label for e in examples(store)}


# -- feedback


def test_a_correction_of_a_new_text_becomes_an_example_once(store: Store) -> None:
    say(store, 1, "where  is my parcel, mail me at a@b.example", "delivery")
    assert absorb(store) == Absorbed(read=1, added=1)
    (example,) = examples(store)
    assert example.text == "where is my parcel, mail me at <email>"
    assert (example.label, example.origin) == ("delivery", "feedback")
    assert example.split == hash_split(3, text_key(example.text), 0.2)
    assert store.rows.get(example.id).place == "answer ans_1"
    assert absorb(store) == Absorbed()
    assert store.feedback.list(used=False) == []


def test_the_newest_correction_of_a_text_wins_over_right_too(sqlite_store: Store) -> None:
    say(sqlite_store, 1, "hello", "first")
    say(sqlite_store, 2, "Hello ", "second")
    say(sqlite_store, 3, "hello", None, said="third")
    assert absorb(sqlite_store) == Absorbed(read=3, added=1)
    assert labels(sqlite_store) == {"Hello": "second"}
    say(sqlite_store, 4, "hello", "fourth")
    assert absorb(sqlite_store) == Absorbed(read=1, relabelled=1)
    assert labels(sqlite_store) == {"Hello": "fourth"}


def test_right_confirms_a_new_text_and_leaves_a_known_one(sqlite_store: Store) -> None:
    feed(sqlite_store, MADE, [("known", "a")])
    settle(sqlite_store, MADE)
    say(sqlite_store, 1, "known", None, said="b")
    say(sqlite_store, 2, "new", None, said="b")
    assert absorb(sqlite_store).confirmed == 1
    assert labels(sqlite_store) == {"known": "a", "new": "b"}


@pytest.mark.parametrize(("person", "added"), [(None, 1), ("person_1", 0)])
def test_a_channel_that_names_nobody_teaches_and_one_person_alone_waits(
    sqlite_store: Store, person: str | None, added: int
) -> None:
    sqlite_store.answers.add([Answer("ans", "desk", "intent", "hm", "a", 0.5, "r", "a", NOW)])
    through: dict[str, Any] = {"person": person, "key": "key_1", "chance": 0.4}
    said = Feedback("fb", "ans", "desk", "intent", "hm", "correction", "b", NOW)
    sqlite_store.feedback.add(replace(said, **through))
    assert absorb(sqlite_store).added == added


def test_right_that_names_nobody_teaches_nothing(sqlite_store: Store) -> None:
    sqlite_store.answers.add([Answer("ans", "desk", "intent", "hm", "a", 0.5, "r", "a", NOW)])
    said = Feedback("fb", "ans", "desk", "intent", "hm", "right", None, NOW)
    sqlite_store.feedback.add(replace(said, key="key_1"))
    assert absorb(sqlite_store) == Absorbed(read=1)
    assert examples(sqlite_store) == []


def test_wrong_alone_is_used_and_teaches_nothing(sqlite_store: Store) -> None:
    sqlite_store.answers.add([Answer("ans", "desk", "intent", "hm", "a", 0.5, "r", "a", NOW)])
    sqlite_store.feedback.add(Feedback("fb", "ans", "desk", "intent", "hm", "wrong", None, NOW))
    assert absorb(sqlite_store) == Absorbed(read=1)
    assert examples(sqlite_store) == []
    assert sqlite_store.feedback.list(used=False) == []


def test_a_correction_relabels_its_own_text_and_keeps_the_split(store: Store) -> None:
    feed(store, MADE, [(f"text {i}", "a") for i in range(20)])
    feed(store, MADE, [("text 1", "a")], channel="shop")
    settle(store, MADE)
    before = splits(store)
    for i in range(20):
        say(store, i, f"TEXT {i}", "b")
    assert absorb(store).relabelled == 20
    assert splits(store) == before
    assert {(e.channel, e.label, e.origin) for e in examples(store)} == {
        ("desk", "b", "feedback"),
        ("shop", "a", "source"),
    }


def test_golden_and_official_test_rows_stay(sqlite_store: Store) -> None:
    feed(sqlite_store, MADE, [("official", "a", "test")])
    settle(sqlite_store, MADE)
    golden = Example("gold", "desk", "intent", "golden", "a", "test", "owner", NOW, golden=True)
    sqlite_store.examples.settle([(golden, text_key("golden"))])
    say(sqlite_store, 1, "official", "b")
    say(sqlite_store, 2, "golden", "b")
    say(sqlite_store, 3, "official", "b", channel="shop")
    assert absorb(sqlite_store).kept == 2
    assert set(labels(sqlite_store).values()) <= {"a", "b"}
    assert {e.label for e in examples(sqlite_store) if e.channel == "desk"} == {"a"}
    assert not [e for e in examples(sqlite_store) if e.text == "official" and e.split == "train"]


def test_a_correction_near_an_example_takes_its_split(sqlite_store: Store) -> None:
    feed(sqlite_store, MADE, [(LONG, "a")])
    settle(sqlite_store, MADE)
    (first,) = examples(sqlite_store)
    for i, end in enumerate(["!", "?", " .", ".."]):
        say(sqlite_store, i, LONG + end, "b")
    assert absorb(sqlite_store).added == 4
    found = [e for e in examples(sqlite_store) if e.id != first.id]
    assert {(e.split, e.same_as) for e in found} == {(first.split, first.id)}


def test_a_label_that_the_task_does_not_have_goes_to_quarantine(sqlite_store: Store) -> None:
    say(sqlite_store, 1, "hello", "refnd")
    assert absorb(sqlite_store, recipe(labels=("refund", "order"))) == Absorbed(read=1, rejected=1)
    (entry,) = sqlite_store.quarantine.list()
    assert (entry.reason, entry.source) == ("unknown label", "feedback")


def test_a_source_does_not_undo_a_correction(sqlite_store: Store) -> None:
    say(sqlite_store, 1, "hello", "b")
    absorb(sqlite_store)
    feed(sqlite_store, MADE, [("hello", "a")])
    settle(sqlite_store, MADE)
    assert labels(sqlite_store) == {"hello": "b"}
    assert sqlite_store.quarantine.list()[0].reason == "conflicting labels"


# -- quarantine


def test_a_broken_row_comes_back_with_its_text(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\nfine,a\nragged\n")
    bring(store, tmp_path, {"path": "x.csv"})
    (entry,) = store.quarantine.list()
    with pytest.raises(InputError, match=r"x.csv:3 was never a row: ragged row.*Give its text"):
        restore(store, MADE, entry.id, clock=now)
    back = restore(store, MADE, entry.id, text="ragged, ask a@b.example", label="a", clock=now)
    assert isinstance(back, Example)
    assert (back.text, back.origin) == ("ragged, ask <email>", "owner")
    assert store.examples.get([back.id]) == [back]
    assert store.quarantine.list() == []
    assert settle(store, MADE).rejected == {}
    with pytest.raises(Conflict, match="is back already"):
        restore(store, MADE, entry.id, text="again", clock=now)


def test_the_owner_settles_a_conflict_for_good(sqlite_store: Store) -> None:
    feed(sqlite_store, MADE, [("same", "a"), ("same ", "b")])
    settle(sqlite_store, MADE)
    one, other = sqlite_store.quarantine.list()
    restore(sqlite_store, MADE, one.id, clock=now)
    assert labels(sqlite_store) == {"same": one.label}
    restore(sqlite_store, MADE, other.id, clock=now)
    assert labels(sqlite_store) == {"same": other.label}
    feed(sqlite_store, MADE, [(" same", str(one.label))], run="r2")
    settle(sqlite_store, MADE)
    assert labels(sqlite_store) == {"same": other.label}


def test_what_is_an_example_already_does_not_come_back(sqlite_store: Store) -> None:
    feed(sqlite_store, MADE, [("same", "a"), ("same", "a"), ("Same", "a")])
    settle(sqlite_store, MADE)
    for entry in sqlite_store.quarantine.list():
        with pytest.raises(Conflict, match="an example already, labelled 'a'"):
            restore(sqlite_store, MADE, entry.id, clock=now)
    repeat = sqlite_store.quarantine.list()[0]
    back = restore(sqlite_store, MADE, repeat.id, text="different", label="b", clock=now)
    assert labels(sqlite_store) == {"same": "a", "different": "b"}
    assert back in examples(sqlite_store)


def test_a_training_row_that_equals_a_test_row_stays_out(sqlite_store: Store) -> None:
    feed(sqlite_store, MADE, [("same", "a", "test"), ("Same", "a", "train")])
    settle(sqlite_store, MADE)
    (entry,) = sqlite_store.quarantine.list()
    with pytest.raises(Conflict):
        restore(sqlite_store, MADE, entry.id, clock=now)
    assert [e.split for e in examples(sqlite_store)] == ["test"]


def test_a_row_without_a_label_comes_back_unlabelled(sqlite_store: Store) -> None:
    made = recipe(longest=5)
    feed(sqlite_store, made, [("longer than five", None)])
    settle(sqlite_store, made)
    back = restore(sqlite_store, made, sqlite_store.quarantine.list()[0].id, clock=now)
    assert isinstance(back, Row)
    assert sqlite_store.rows.counts() == {("intent", "desk", "unlabelled"): 1}


def test_a_reason_comes_back_at_once_and_says_what_does_not(sqlite_store: Store) -> None:
    made = recipe(longest=5)
    feed(sqlite_store, made, [("longer than 1", "a"), ("longer than 2", "a"), ("ok", "a")])
    settle(sqlite_store, made)
    done = restore_all(sqlite_store, recipe(labels=("b",)), "too long", clock=now)
    assert (done.restored, len(done.refused)) == (0, 2)
    assert "known: b" in next(iter(done.refused.values()))
    assert restore_all(sqlite_store, made, "too long", clock=now).restored == 2
    assert len(examples(sqlite_store)) == 3


def test_an_id_that_nothing_carries(sqlite_store: Store) -> None:
    with pytest.raises(NotFound, match="headrace quarantine list"):
        restore(sqlite_store, MADE, "q_nothing", clock=now)
