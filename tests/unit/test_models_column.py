"""One label fitted alone: all others stay to the bit, and the new one finds its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.models.adapter import Head
from headrace.models.column import ColumnOptions, Taught, fit_column, renamed, without
from headrace.models.joint import JointOptions, fit_joint
from headrace.models.ngrams import NgramOptions, grams

LABELS = ("a", "b", "c")
WORDS = {"a": 10, "b": 20, "c": 30, "new": 40}


def rows(label: str, count: int, seed: int) -> tuple[NDArray[np.float32], list[NDArray[np.int32]]]:
    """Rows whose embedding leans towards the label's own direction and whose words name it, mostly."""
    random = np.random.default_rng([seed, WORDS[label]])
    vectors = random.normal(0, 0.5, (count, 16)).astype(np.float32)
    vectors[:, WORDS[label] // 10] += 2
    ids = [random.integers(50, 90, 6).astype(np.int32) for _ in range(count)]
    for one in ids[: count * 3 // 4]:
        one[0] = WORDS[label]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), ids


@pytest.fixture(scope="module")
def parts() -> tuple[Head, NDArray[np.float32], list[NDArray[np.int32]]]:
    found = [rows(label, 60, 0) for label in LABELS]
    embeddings, ids = np.concatenate([e for e, _ in found]), [one for _, some in found for one in some]
    counts = grams(ids, [""] * 180, NgramOptions()).matrix()
    y = np.repeat(np.arange(3), 60)
    return fit_joint(embeddings, counts, y, np.ones(180, np.float32), LABELS, JointOptions()), embeddings, ids


def taught(head: Head, embeddings: NDArray[np.float32], ids: list[NDArray[np.int32]]) -> Taught:
    """The rows of `head`'s labels, and ten of the new one."""
    new, words = rows("new", 10, 1)
    embeddings, ids = np.concatenate([embeddings, new]), [*ids, *words]
    logits = head.logits(embeddings, [""] * len(ids), ids)
    gold = np.append(np.repeat(np.arange(3), 60), [-1] * 10)
    counts = grams(ids, [""] * len(ids), head.ngrams).matrix()
    return Taught(embeddings, counts, logits, gold, np.ones(190, np.float32), np.zeros(190, bool))


def answers(head: Head, label: str) -> NDArray[np.bool_]:
    embeddings, ids = rows(label, 40, 2)
    said = np.array(head.labels)[head.logits(embeddings, [""] * 40, ids).argmax(1)]
    return np.asarray(said == label)


Parts = tuple[Head, NDArray[np.float32], list[NDArray[np.int32]]]


def test_a_new_label_answers_and_the_others_scores_stay_to_the_bit(parts: Parts) -> None:
    head, embeddings, ids = parts
    found = fit_column(head, "new", taught(*parts), options=ColumnOptions())
    assert found.head.labels == ("a", "b", "c", "new")
    assert answers(found.head, "new").mean() > 0.9
    assert min(answers(found.head, label).mean() for label in LABELS) > 0.9
    assert found.found >= 0.9
    before, after = (one.logits(embeddings, [""] * 180, ids) for one in (head, found.head))
    assert np.array_equal(before, after[:, :3])
    again = Head.from_bytes(found.head.to_bytes())
    assert np.array_equal(again.logits(embeddings, [""] * 180, ids), after)


def test_the_same_rows_give_the_same_bytes_and_each_row_that_differs_others(parts: Parts) -> None:
    given, options = taught(*parts), ColumnOptions()
    first, second = (fit_column(parts[0], "new", given, options=options).head.to_bytes() for _ in range(2))
    assert first == second
    other = replace(given, gold=np.append(given.gold[:-1], 0))
    assert fit_column(parts[0], "new", other, options=options).head.to_bytes() != first


def test_a_label_takes_no_more_than_it_may(parts: Parts) -> None:
    """Rows of "a" called new: to find them all, most of "a" would be lost."""
    head, embeddings, ids = parts
    given = taught(head, embeddings, ids)
    gold = given.gold.copy()
    gold[:10], gold[-10:] = -1, 0
    twin = replace(given, gold=gold)
    for lost in (0.0, 0.2):
        found = fit_column(head, "new", twin, options=ColumnOptions(lost=lost, taken=lost))
        assert found.lost <= max(1, lost * 60)
        assert (~answers(found.head, "a")).mean() <= lost + 0.15


def test_labels_that_become_one_are_answered_as_one(parts: Parts) -> None:
    head, embeddings, ids = parts
    counts = grams(ids, [""] * 180, head.ngrams).matrix()
    logits = head.logits(embeddings, [""] * 180, ids)
    gold = np.repeat([-1, -1, 2], 60)
    given = Taught(embeddings, counts, logits, gold, np.ones(180, np.float32), np.zeros(180, bool))
    found = fit_column(head, "ab", given, replaced=("a", "b"), options=ColumnOptions())
    assert found.head.labels == ("c", "ab")
    for label in ("a", "b"):
        vectors, words = rows(label, 40, 2)
        assert (found.head.logits(vectors, [""] * 40, words).argmax(1) == 1).mean() > 0.9
    assert answers(found.head, "c").mean() > 0.9
    alone = without(head, ("a", "b")).logits(embeddings, [""] * 180, ids)
    assert np.allclose(alone[:, 0], logits[:, 2], atol=1e-5)


def test_another_name_changes_nothing_else(parts: Parts) -> None:
    head, embeddings, ids = parts
    found = renamed(head, {"b": "bee"})
    assert found.labels == ("a", "bee", "c")
    assert Head.from_bytes(found.to_bytes()).labels == found.labels
    before, after = (one.logits(embeddings, [""] * 180, ids) for one in (head, found))
    assert np.array_equal(before, after)
