"""What the memory promises: a correction counts at once, where it belongs, and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from headrace.errors import ArtifactError
from headrace.feedback import Fixed, Memory, Radius
from headrace.feedback.radius import Floats

NAMES = ("a", "b", "c")
SURE = {"a": 0.98, "b": 0.01, "c": 0.01}


def unit(*values: float) -> Floats:
    made = np.array(values, np.float32)
    return np.asarray(made / np.linalg.norm(made))


def clusters(seed: int, count: int = 80) -> tuple[Floats, list[str]]:
    """Examples of three labels, each about a direction of its own."""
    random = np.random.default_rng(seed)
    centres = np.eye(16, dtype=np.float32)[:3]
    labels = [NAMES[i % 3] for i in range(3 * count)]
    rows = centres[[NAMES.index(label) for label in labels]] + 0.25 * random.normal(size=(3 * count, 16))
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), labels


def scores_of(label: str) -> dict[str, float]:
    return {name: 0.98 if name == label else 0.01 for name in NAMES}


@pytest.fixture
def memory() -> Memory:
    made = Memory({"intent": Fixed(0.9)})
    made.learn("intent", "shop", "Where is my parcel?", unit(1, 0, 0), SURE, "b", "fb_1")
    return made


def ask(
    memory: Memory,
    text: str = "Where is my parcel?",
    *,
    task: str = "intent",
    channel: str = "shop",
    embedding: Floats | None = None,
    scores: Mapping[str, float] = SURE,
) -> tuple[str, str] | None:
    found = memory.recall(task, channel, text, unit(1, 0, 0) if embedding is None else embedding, scores)
    return None if found is None else (found.label, found.feedback_id)


def test_the_same_text_is_answered_with_the_correction(memory: Memory) -> None:
    assert ask(memory) == ("b", "fb_1")


@pytest.mark.parametrize("text", ["where is  my parcel?", " WHERE IS MY PARCEL? ", "Ｗhere is my parcel?"])
def test_the_same_text_counts_however_far_its_vectors_are(memory: Memory, text: str) -> None:
    assert ask(memory, text, embedding=unit(0, 0, 1), scores={"c": 1.0}) == ("b", "fb_1")


def test_neither_another_channel_nor_another_task_changes(memory: Memory) -> None:
    assert ask(memory, channel="partner") is None
    assert ask(memory, task="sentiment") is None


def test_a_rewording_changes_and_a_near_miss_does_not(memory: Memory) -> None:
    near = unit(1, 0.2, 0)
    assert ask(memory, "parcel, where?", embedding=near) == ("b", "fb_1")
    assert ask(memory, "Where is my refund?", embedding=near, scores=scores_of("c")) is None
    assert ask(memory, "Hello", embedding=unit(0, 1, 0)) is None


def test_the_newest_correction_of_a_text_wins(memory: Memory) -> None:
    memory.learn("intent", "shop", "where is my parcel?", unit(1, 0, 0), SURE, "c", "fb_2")
    assert ask(memory) == ("c", "fb_2")
    assert ask(memory, "parcel, where?", embedding=unit(1, 0.2, 0)) == ("c", "fb_2")
    memory.learn("intent", "shop", "Where is my parcel?", unit(1, 0, 0), SURE, "b", "fb_1")
    assert ask(memory) == ("c", "fb_2"), "learning again keeps the place of the first time"


def test_of_two_as_near_the_one_corrected_last_decides(memory: Memory) -> None:
    memory.learn("intent", "shop", "parcel?", unit(1, 0, 0), SURE, "c", "fb_2")
    assert ask(memory, "parcel, where?", embedding=unit(1, 0.2, 0)) == ("c", "fb_2")
    memory.learn("intent", "shop", "Where is my parcel?", unit(1, 0, 0), SURE, "a", "fb_3")
    assert ask(memory, "parcel, where?", embedding=unit(1, 0.2, 0)) == ("a", "fb_3")


def test_forgetting_restores_what_was_before(memory: Memory) -> None:
    asked = [
        ("parcel, where?", unit(1, 0.2, 0)),
        ("Where is my parcel?", unit(1, 0, 0)),
        ("x", unit(0, 1, 0)),
    ]
    before = [memory.recall("intent", "shop", text, vector, SURE) for text, vector in asked]
    memory.learn("intent", "shop", "parcel, where?", unit(1, 0.2, 0), SURE, "c", "fb_2")
    assert [memory.recall("intent", "shop", t, v, SURE) for t, v in asked] != before
    assert memory.forget("fb_2")
    assert [memory.recall("intent", "shop", t, v, SURE) for t, v in asked] == before
    assert memory.forget("fb_1")
    assert all(memory.recall("intent", "shop", t, v, SURE) is None for t, v in asked)
    assert not memory.forget("fb_1")


def test_without_a_radius_the_same_text_alone_counts() -> None:
    memory = Memory()
    memory.learn("intent", "shop", "Where is my parcel?", unit(1, 0, 0), SURE, "b", "fb_1")
    assert ask(memory) == ("b", "fb_1")
    assert ask(memory, "parcel, where?") is None
    memory.set_reach("intent", Fixed(0.9))
    assert ask(memory, "parcel, where?") == ("b", "fb_1")


def test_the_oldest_goes_first_when_the_memory_is_full() -> None:
    memory = Memory(limit=2)
    for i in range(3):
        memory.learn("intent", "shop", f"question {i}", unit(1, 0, 0), SURE, "b", f"fb_{i}")
    assert [ask(memory, f"question {i}") is None for i in range(3)] == [True, False, False]
    assert memory.counts() == {("intent", "shop"): 2}


def test_forget_all_empties_what_it_names(memory: Memory) -> None:
    memory.learn("intent", "partner", "hello", unit(0, 1, 0), SURE, "c", "fb_2")
    memory.forget_all(task="intent", channel="shop")
    assert memory.counts() == {("intent", "partner"): 1}
    memory.forget_all()
    assert memory.counts() == {}


def test_readers_see_each_correction_whole_while_another_thread_learns() -> None:
    memory = Memory({"intent": Fixed(0.9)})
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            found = ask(memory, "parcel, where?", embedding=unit(1, 0.2, 0))
            if found is not None and found[0] != f"label {found[1]}":
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(150):
        memory.learn("intent", "shop", f"question {i}", unit(1, 0, 0), SURE, f"label fb_{i}", f"fb_{i}")
        if i % 3 == 0:
            memory.forget(f"fb_{i}")
    stop.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []
    assert ask(memory, "parcel, where?", embedding=unit(1, 0.2, 0)) == ("label fb_149", "fb_149")


def changed_share(radius: Radius, corrections: int) -> float:
    """The share of other questions that so many corrections in one memory change."""
    asked, known = clusters(2, 40)
    changed = pairs = 0
    for first in range(0, len(asked) - corrections, max(3, corrections)):
        memory = Memory({"intent": radius})
        taught = range(first, first + corrections)
        for i in taught:
            memory.learn("intent", "shop", f"q{i}", asked[i], scores_of(known[i]), "new", f"fb_{i}")
        others = [j for j in range(len(asked)) if j not in taught]
        pairs += len(others)
        for j in others:
            changed += ask(memory, f"q{j}", embedding=asked[j], scores=scores_of(known[j])) is not None
    return changed / pairs


def test_a_correction_keeps_to_its_share_and_many_keep_to_theirs_together() -> None:
    radius = Radius.learn(*clusters(1), seed=0)
    assert 0 < changed_share(radius, 1) < 0.02
    assert changed_share(radius, 30) < 0.06, "thirty alone would change thirty times the share of one"
    assert changed_share(replace(radius, thresholds=radius.thresholds[:1] * 9), 30) > 0.06


def test_a_learned_radius_reaches_what_is_nearly_the_same_and_not_another_intent() -> None:
    embeddings, labels = clusters(1)
    radius = Radius.learn(embeddings, labels, seed=0)
    memory = Memory({"intent": radius})
    asked = unit(1.0, 0.1, 0.05, 0.5, *([0.0] * 12))
    reworded = unit(1.0, 0.12, 0.03, 0.5, 0.05, *([0.0] * 11))
    memory.learn("intent", "shop", "one", asked, scores_of("a"), "b", "fb_1")
    assert ask(memory, "two", embedding=reworded, scores=scores_of("a")) == ("b", "fb_1")
    assert ask(memory, "three", embedding=reworded, scores=scores_of("c")) is None


def test_a_radius_is_the_same_after_json_and_for_the_same_seed() -> None:
    embeddings, labels = clusters(3)
    radius = Radius.learn(embeddings, labels, seed=7)
    again = Radius.from_json(radius.to_json())
    assert again.to_json() == radius.to_json() == Radius.learn(embeddings, labels, seed=7).to_json()
    view = radius.view(embeddings[0])
    assert np.array_equal(radius.votes(view), again.votes(view))
    assert radius.density(view, SURE) == again.density(view, SURE)


def test_too_few_examples_reach_the_same_text_alone() -> None:
    embeddings, labels = clusters(1)
    radius = Radius.from_json(Radius.learn(embeddings[:20], labels[:20], seed=0).to_json())
    memory = Memory({"intent": radius})
    memory.learn("intent", "shop", "one", embeddings[0], SURE, "b", "fb_1")
    assert ask(memory, "two", embedding=embeddings[0]) is None
    assert ask(memory, "one", embedding=embeddings[0]) == ("b", "fb_1")


@pytest.mark.parametrize(
    "damage",
    [{"format": "other"}, {"mean": "!"}, {"step": "x"}, {"references": {"a": "AAA="}}, {"far": None}],
)
def test_a_damaged_radius_is_refused(damage: dict[str, object]) -> None:
    embeddings, labels = clusters(1)
    with pytest.raises(ArtifactError, match="damaged"):
        Radius.from_json(Radius.learn(embeddings, labels, seed=0).to_json() | damage)


def test_a_users_implausible_word_reaches_the_same_text_alone(memory: Memory) -> None:
    """OWASP LLM04: most corrections of answers that the adapter is sure of are mistaken."""
    for label, sure, reaches in (("b", False, False), ("b", True, True)):
        made = Memory({"intent": Fixed(0.9)})
        made.learn("intent", "shop", "one", unit(1, 0, 0), SURE, label, "fb_1", person="ann", sure=sure)
        assert ask(made, "one") == (label, "fb_1")
        assert (ask(made, "another", embedding=unit(1, 0.1, 0)) is not None) is reaches
    made = Memory({"intent": Fixed(0.9)}, plausible=0.005)
    made.learn("intent", "shop", "one", unit(1, 0, 0), SURE, "b", "fb_1", person="ann", sure=False)
    assert ask(made, "another", embedding=unit(1, 0.1, 0)) == ("b", "fb_1")


def test_one_persons_corrections_together_reach_no_further_than_one() -> None:
    """OWASP ML02: a thousand of one user's change no more of others' answers than a few do."""
    asked, known = clusters(2, 40)
    radius = Radius.learn(*clusters(1), seed=0)

    def changed(people: int, corrections: int) -> float:
        memory = Memory({"intent": radius})
        for i in range(corrections):
            who = f"p{i % people}"
            memory.learn(
                "intent", "shop", f"q{i}", asked[i], scores_of(known[i]), "new", f"fb_{i}", person=who
            )
        rest = range(corrections, len(asked))
        found = [ask(memory, f"q{j}", embedding=asked[j], scores=scores_of(known[j])) for j in rest]
        return sum(one is not None for one in found) / len(rest)

    assert changed(1, 10) < changed(10, 10)
    assert changed(1, 30) == 0


def test_the_order_of_effect_decides_and_not_the_order_of_learning() -> None:
    memory = Memory()
    for label, order in (("b", (5, 1)), ("a", (2, 2))):
        memory.learn("intent", "shop", "one", unit(1, 0, 0), SURE, label, f"fb_{label}", order)
    assert ask(memory, "one") == ("b", "fb_b")
