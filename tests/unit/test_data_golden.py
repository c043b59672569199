"""Golden rows: added whole or not at all, changed by the owner alone, never trained on."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from data_parts import feed, now, recipe

from headrace.data.clean import clean
from headrace.data.connectors import Broken, Raw
from headrace.data.corrections import absorb_feedback
from headrace.data.golden import Golden, add_golden, read_golden, remove_golden
from headrace.errors import InputError, NotFound
from headrace.records import Answer, Feedback, IdMaker
from headrace.store import Store

MADE = recipe()
RUNS = itertools.count()


def add(store: Store, ids: IdMaker, *rows: tuple[str, str]) -> Golden:
    found = [Raw(text, label, None, f"row {number}") for number, (text, label) in enumerate(rows, 1)]
    return add_golden(store, MADE, found, task="intent", channel="desk", clock=now, ids=ids)


def bring(store: Store, *rows: tuple[str, str], channel: str = "desk") -> None:
    feed(store, MADE, rows, channel=channel, run=f"r{next(RUNS)}")
    clean(store, MADE, clock=now)


def golden(store: Store) -> dict[str, str]:
    return {example.text: example.label for example in store.examples.golden("intent", "desk")}


def test_a_training_row_that_equals_a_golden_one_leaves_training_in_every_channel(
    sqlite_store: Store, ids: IdMaker
) -> None:
    store = sqlite_store
    rows = [(f"question {n} about keys", "key") for n in range(12)]
    bring(store, *rows)
    bring(store, *rows, channel="shop")
    done = add(store, ids, *[(text.upper(), "key") for text, _ in rows])
    assert (done.added, done.left) == (12, 24 - sum_of_held(store, "shop"))
    left = store.examples.of("intent", splits=["train", "validation"])
    assert left == []
    bring(store, *[(f"{text} ", "key") for text, _ in rows])
    assert store.examples.of("intent", splits=["train", "validation"]) == []
    assert {entry.reason for entry in store.quarantine.list()} >= {"equals a test row"}


def sum_of_held(store: Store, channel: str) -> int:
    return len(store.examples.of("intent", [channel], ["test"]))


def test_adding_again_adds_nothing_and_another_label_changes_it(sqlite_store: Store, ids: IdMaker) -> None:
    store = sqlite_store
    assert add(store, ids, ("where is my key", "key"), ("undo that", "undo")) == Golden(added=2)
    assert add(store, ids, ("where is my key", "key")) == Golden(known=1)
    assert add(store, ids, ("Where is my  KEY", "lock"), ("hello", "greet")) == Golden(added=1, changed=1)
    assert golden(store) == {"undo that": "undo", "Where is my KEY": "lock", "hello": "greet"}
    assert add(store, ids, ("where is my key", "key")) == Golden(changed=1)
    assert {e.origin for e in store.examples.golden()} == {"owner"}
    assert store.examples.counts() == {}, "they are neither training rows nor held-out ones"


def test_a_correction_changes_no_golden_row(sqlite_store: Store, ids: IdMaker) -> None:
    store = sqlite_store
    add(store, ids, ("where is my key", "key"))
    store.answers.add([Answer("a", "desk", "intent", "where is my key", "key", 0.5, "rel", "adp", now())])
    store.feedback.add(Feedback("f", "a", "desk", "intent", "where is my key", "correction", "lock", now()))
    assert absorb_feedback(store, MADE, clock=now).kept == 1
    bring(store, ("where is my key", "lock"))
    assert golden(store) == {"where is my key": "key"}


def test_all_mistakes_of_a_file_come_at_once_and_then_nothing_is_added(
    sqlite_store: Store, ids: IdMaker
) -> None:
    found: list[Raw | Broken] = [
        Raw("fine", "key", None, "g.csv:2"),
        Raw("no label", None, None, "g.csv:3"),
        Raw(" ", "key", None, "g.csv:4"),
        Raw("FINE", "lock", None, "g.csv:5"),
        Raw("typo", "kye", None, "g.csv:6"),
        Broken("g.csv:7", "x", "undecodable", "bad bytes"),
    ]
    listed = recipe(labels=("key", "lock"))
    with pytest.raises(InputError) as caught:
        add_golden(sqlite_store, listed, found, task="intent", channel="desk", clock=now, ids=ids)
    for said in (
        "g.csv:3: no label",
        "g.csv:4: empty",
        "g.csv:5: g.csv:2 has",
        "did you mean 'key'",
        "g.csv:7",
    ):
        assert said in str(caught.value)
    assert sqlite_store.examples.golden() == []
    with pytest.raises(InputError, match="no rows"):
        add_golden(sqlite_store, listed, [], task="intent", channel="desk", clock=now, ids=ids)


def test_private_details_are_masked(sqlite_store: Store, ids: IdMaker) -> None:
    add(sqlite_store, ids, ("write to ann@example.com", "mail"))
    assert "ann@example.com" not in next(iter(golden(sqlite_store)))


def test_removed_is_gone_and_may_train_again(store: Store, ids: IdMaker) -> None:
    add(store, ids, ("where is my key", "key"), ("undo that", "undo"))
    rows = {e.text: e.id for e in store.examples.golden()}
    with pytest.raises(NotFound, match="row_none"):
        remove_golden(store, [rows["undo that"], "row_none"], clock=now, ids=ids)
    remove_golden(store, [rows["where is my key"]], clock=now, ids=ids)
    assert golden(store) == {"undo that": "undo"}
    bring(store, ("where is my key", "lock"))
    assert [e.label for e in store.examples.of("intent") if not e.golden] == ["lock"]
    assert [event.kind for event in store.history.events()] == ["golden", "golden"]
    assert add(store, ids, ("undo that", "undo"), ("where is my key", "key")).added == 1


def test_a_file_is_read_like_that_of_a_source(tmp_path: Path, sqlite_store: Store, ids: IdMaker) -> None:
    file = tmp_path / "g.csv"
    file.write_text("question,topic\nwhere is my key,key\nundo that,undo\n", encoding="gb18030")
    found = read_golden(file, text="question", label="topic")
    add_golden(sqlite_store, MADE, found, task="intent", channel="desk", clock=now, ids=ids)
    assert golden(sqlite_store) == {"where is my key": "key", "undo that": "undo"}
