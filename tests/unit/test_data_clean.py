"""What becomes of rows: reasons, conflicts, official test sets, near-duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from data_parts import Labelled, examples, feed, recipe, settle, splits

from headrace.data.duplicates import NearIndex, bands_for, grams, jaccard, signatures
from headrace.data.split import hash_split
from headrace.data.texts import text_key
from headrace.store import Store

LONG = "how do i change the address of an order that was sent to my old flat last week"


def reasons(store: Store) -> dict[str, str]:
    return {entry.content: entry.reason for entry in store.quarantine.list()}


def cleaned(store: Store, rows: list[Labelled], **clean: Any) -> dict[str, str]:
    """Labels by text after cleaning these rows."""
    made = recipe(**clean)
    feed(store, made, rows)
    settle(store, made)
    return {e.text: e.label for e in examples(store)}


def test_each_reason(store: Store) -> None:
    rows: list[Labelled] = [
        ("fine", "a"),
        ("  two\n\tspaces ", "a"),
        ("", "a"),
        ("\u3000 \n", "b"),
        ("x" * 51, "a"),
        ("bad \ufffd\ufffd", "a"),
        ("\x01\x02\x03", "a"),
        ("typo", "refnd"),
        ("no label", None),
        ("Ｆｉｎｅ", "a"),
    ]
    kept = cleaned(store, rows, longest=50, labels=("a", "b", "refund"))
    assert kept == {"fine": "a", "two spaces": "a"}
    assert reasons(store) == {
        "": "empty",
        "\u3000 \n": "empty",
        "x" * 51: "too long",
        "bad \ufffd\ufffd": "undecodable",
        "\x01\x02\x03": "undecodable",
        "typo": "unknown label",
        "Ｆｉｎｅ": "duplicate",
    }
    details = " ".join(entry.detail for entry in store.quarantine.list())
    assert "did you mean 'refund'?" in details
    assert "51 characters, at most 50" in details
    assert store.rows.counts() == {
        ("intent", "desk", "clean"): 2,
        ("intent", "desk", "rejected"): 7,
        ("intent", "desk", "unlabelled"): 1,
    }


def test_a_text_keeps_its_letters(sqlite_store: Store) -> None:
    assert set(cleaned(sqlite_store, [("Ｃafe\u0301　ＯＫ", "a")])) == {"Ｃafé ＯＫ"}


def test_cleaning_twice_changes_nothing(store: Store) -> None:
    made = recipe()
    feed(store, made, [("a", "x"), ("a", "y"), ("b", "x"), ("B", "x"), ("", "x"), (LONG, "x")])
    settle(store, made)
    before = examples(store), store.quarantine.counts(), store.rows.counts()
    assert settle(store, made).read == 0
    feed(store, made, [("a", "x"), ("b", "x")], run="r2")
    assert settle(store, made).read == 0
    assert (examples(store), store.quarantine.counts(), store.rows.counts()) == before


@pytest.mark.parametrize("apart", [False, True], ids=["one run", "a run each"])
def test_conflicting_labels_all_go(store: Store, apart: bool) -> None:
    made = recipe()
    rows: list[Labelled] = [("Same text", "a"), ("same  text", "b"), ("same text", "a"), ("other", "a")]
    for i, row in enumerate(rows):
        feed(store, made, [row], run=f"r{i}")
        if apart:
            settle(store, made)
    settle(store, made)
    assert [e.text for e in examples(store)] == ["other"]
    assert store.quarantine.counts() == {("intent", "desk", "conflicting labels"): 3}
    assert "'a' 1 times, 'b' 1 times" in store.quarantine.list()[-1].detail


@pytest.mark.parametrize("apart", [False, True], ids=["one run", "a run each"])
@pytest.mark.parametrize(
    ("labels", "winner"), [("aab", "a"), ("abb", "b"), ("ab", None), ("abab", None), ("abba b", "b")]
)
def test_the_majority_may_decide(sqlite_store: Store, labels: str, winner: str | None, apart: bool) -> None:
    made = recipe(conflicts="majority")
    for i, label in enumerate(labels.replace(" ", "")):
        feed(sqlite_store, made, [(f"one{' ' * i} text", label)], run=f"r{i}")
        if apart:
            settle(sqlite_store, made)
    settle(sqlite_store, made)
    assert [e.label for e in examples(sqlite_store)] == ([winner] if winner else [])


def test_repeats_within_a_run_are_votes(sqlite_store: Store) -> None:
    kept = cleaned(
        sqlite_store, [("one text", "b"), ("one text", "a"), ("one text", "a")], conflicts="majority"
    )
    assert kept == {"one text": "a"}


def test_the_same_text_may_mean_something_else_in_another_channel(sqlite_store: Store) -> None:
    made = recipe()
    feed(sqlite_store, made, [("open", "a")])
    feed(sqlite_store, made, [("open", "b")], channel="shop")
    settle(sqlite_store, made)
    assert {(e.channel, e.label) for e in examples(sqlite_store)} == {("desk", "a"), ("shop", "b")}
    assert len({e.split for e in examples(sqlite_store)}) == 1


@pytest.mark.parametrize("first", ["test", "train"])
def test_test_rows_stay_whole_and_training_rows_that_equal_one_leave(store: Store, first: str) -> None:
    made = recipe(longest=30)
    official: list[Labelled] = [
        ("where is it", "a", "test"),
        ("where is it", "a", "test"),
        ("where is it", "b", "test"),
        ("x" * 40, "a", "test"),
    ]
    training: list[Labelled] = [("Where is it", "a", "train"), ("kept", "a", "train"), ("where is  it", "a")]
    # The unsplit one is training or test by its hash; only if it is training it would spoil the test.
    parts = [official, training] if first == "test" else [training, official]
    for i, part in enumerate(parts):
        feed(store, made, part, channel="desk" if part is official else "shop", run=f"r{i}")
        settle(store, made)
    tests = [e for e in examples(store) if e.channel == "desk"]
    assert sorted((e.text, e.label, e.split) for e in tests) == [
        ("where is it", "a", "test"),
        ("where is it", "a", "test"),
        ("where is it", "b", "test"),
        ("x" * 40, "a", "test"),
    ]
    assert [e.text for e in examples(store) if e.split == "train"] == ["kept"]
    assert reasons(store)["Where is it"] == "equals a test row"


def test_collecting_an_official_test_set_again_adds_nothing(sqlite_store: Store) -> None:
    made = recipe()
    rows: list[Labelled] = [("same", "a", "test")] * 3
    for run in ("r1", "r2"):
        feed(sqlite_store, made, rows, run=run)
        settle(sqlite_store, made)
    assert len(examples(sqlite_store)) == 3


@pytest.mark.parametrize("apart", [False, True], ids=["one run", "a run each"])
def test_near_duplicates_take_the_split_of_their_first_and_stay(store: Store, apart: bool) -> None:
    made = recipe(near_duplicate=0.7, test_share=0.5)
    variants = [LONG, LONG + "!", LONG.replace("flat", "home"), LONG[1:] + " ??", LONG + " please"]
    alone = {hash_split(3, text_key(text), 0.5) for text in variants}
    assert alone == {"test", "train"}
    for i, text in enumerate(variants):
        feed(store, made, [(text, "a")], channel="shop" if i % 2 else "desk", run=f"r{i}")
        if apart:
            settle(store, made)
    settle(store, made)
    found = sorted(examples(store), key=lambda e: variants.index(e.text))
    assert {e.split for e in found} == {hash_split(3, text_key(LONG), 0.5)}
    assert [e.same_as for e in found] == [None] + [found[0].id] * 4


def test_a_given_split_stays_whatever_is_near(sqlite_store: Store) -> None:
    made = recipe(near_duplicate=0.7)
    feed(sqlite_store, made, [(LONG, "a", "test"), (LONG + "!", "a", "train"), (LONG + "?", "a", "train")])
    settle(sqlite_store, made)
    found = {e.text: e for e in examples(sqlite_store)}
    assert [e.split for e in found.values()].count("train") == 2
    assert found[LONG].same_as is None
    assert found[LONG + "?"].same_as in (None, found[LONG + "!"].id)
    feed(sqlite_store, made, [(LONG + " ok", "a")], run="r2")
    settle(sqlite_store, made)
    (new,) = [e for e in examples(sqlite_store) if e.text == LONG + " ok"]
    assert (new.split, new.same_as) == ("test", found[LONG].id)


def test_splits_come_near_the_share(sqlite_store: Store) -> None:
    made = recipe(test_share=0.3)
    feed(sqlite_store, made, [(f"question {i} of {i * 7919}", "a") for i in range(2000)])
    settle(sqlite_store, made)
    share = list(splits(sqlite_store).values()).count("test") / 2000
    assert abs(share - 0.3) < 0.05


def test_a_split_is_the_same_on_every_machine_and_in_every_version() -> None:
    keys = [text_key(f"Question  {i}") for i in range(12)]
    assert keys[0] == "6183866a41c96e64305e22bececd8cc8"
    assert "".join(hash_split(3, key, 0.5)[1] for key in keys) == "rerreeeeeerr"
    assert "".join(hash_split(4, key, 0.5)[1] for key in keys) == "errererreeee"


def test_bands_join_what_is_near_and_little_else() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(chr(97 + c) for c in rng.integers(0, 26, 6)) for _ in range(3000)]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(600)]
    near = [text[:60] + "#" + text[61:] for text in texts]
    index = NearIndex(0.85)
    for start in range(0, 600, 150):
        index.add([f"row_{i}" for i in range(start, start + 150)], texts[start : start + 150])
    found = index.add([f"near_{i}" for i in range(600)], near)
    assert min(jaccard(grams(a), grams(b)) for a, b in zip(texts, near, strict=True)) > 0.85
    assert sum(f"row_{i}" in names for i, names in enumerate(found)) >= 594
    assert sum(map(len, found)) < 700
    assert bands_for(0.85) == (16, 8)


def test_signatures_estimate_the_jaccard_index() -> None:
    one, other = LONG, LONG.replace("address", "payment")
    a, b = signatures([one, other])
    assert abs(np.mean(a == b) - jaccard(grams(one), grams(other))) < 0.12
    assert np.array_equal(signatures(["ab", "xy", "ab"])[0], signatures(["zz", "ab"])[1])
