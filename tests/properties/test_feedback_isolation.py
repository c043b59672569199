"""Whatever is learned elsewhere, a (task, channel) is answered as if it were alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.feedback import Fixed, Memory
from headrace.feedback.radius import Floats

TEXTS = ("where is it", "Where is it?", "refund please", "hello")
PAIRS = tuple((task, channel) for task in ("intent", "mood") for channel in ("shop", "partner"))
VECTORS = [np.array(v, np.float32) / np.float32(np.linalg.norm(v)) for v in ((1, 0), (1, 0.1), (0, 1))]
SCORES = ({"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}, {"c": 1.0})

corrections = st.lists(
    st.tuples(
        st.sampled_from(PAIRS),
        st.sampled_from(TEXTS),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 5),
    ),
    max_size=12,
)
asks = st.tuples(st.sampled_from(PAIRS), st.sampled_from(TEXTS), st.integers(0, 2), st.integers(0, 2))
Correction = tuple[tuple[str, str], str, int, int, str, int]
Ask = tuple[tuple[str, str], str, int, int]


def reaches() -> dict[str, Fixed]:
    return {"intent": Fixed(0.9)}


def taught(learned: list[Correction]) -> Memory:
    memory = Memory(reaches(), limit=4)
    for pair, text, vector, scores, label, number in learned:
        memory.learn(*pair, text, embedding(vector), SCORES[scores], label, f"fb_{pair}_{number}")
    return memory


def embedding(number: int) -> Floats:
    return VECTORS[number]


@settings(max_examples=50, deadline=None)
@given(corrections, asks)
def test_a_recall_depends_on_its_own_task_and_channel_alone(learned: list[Correction], asked: Ask) -> None:
    pair, text, vector, scores = asked
    alone = taught([one for one in learned if one[0] == pair])
    found = taught(learned).recall(*pair, text, embedding(vector), SCORES[scores])
    assert found == alone.recall(*pair, text, embedding(vector), SCORES[scores])
    assert found is None or found.feedback_id.startswith(f"fb_{pair}_")


@settings(max_examples=30, deadline=None)
@given(asks)
def test_a_memory_with_nothing_learned_changes_nothing(asked: Ask) -> None:
    pair, text, vector, scores = asked
    assert Memory(reaches()).recall(*pair, text, embedding(vector), SCORES[scores]) is None


@settings(max_examples=50, deadline=None)
@given(corrections, asks)
def test_undoing_what_was_learned_last_is_as_if_it_never_was(learned: list[Correction], asked: Ask) -> None:
    pair, text, vector, scores = asked
    before = Memory(reaches())
    after = Memory(reaches())
    for memory in (before, after):
        for where, said, v, s, label, number in learned:
            memory.learn(*where, said, embedding(v), SCORES[s], label, f"fb_{where}_{number}")
    after.learn(*pair, "hello", embedding(0), SCORES[0], "c", "fb_last")
    after.forget("fb_last")
    question = (*pair, text, embedding(vector), SCORES[scores])
    assert after.recall(*question) == before.recall(*question)
