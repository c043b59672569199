"""Caps hold in every order, and undone feedback leaves nothing behind (OWASP LLM04, ML02)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from trust_stand import Desk, direction

from headrace.feedback import Fixed, Memory
from headrace.recipe import TrustRecipe
from headrace.records import Feedback
from headrace.store import Store

TRUST = TrustRecipe(person=2, person_day=5, region_day=4, unnamed_day=3, burst=100)
LABELS = ("a", "b")
SCORES = {"a": 0.6, "b": 0.4}

said = st.tuples(
    st.integers(0, 12).map(lambda step: 3.0 * step),
    st.sampled_from(LABELS),
    st.sampled_from(["ann", "bea", "cid", None]),
    st.booleans(),
)
streams = st.lists(said, min_size=1, max_size=24)
Said = tuple[float, str, str | None, bool]


@cache
def template() -> Path:
    """An empty store, made once: its tables take longer than all that is done with them."""
    folder = Path(tempfile.mkdtemp())
    Store.open("s.db", folder, create=True).close()
    return folder


@contextmanager
def empty() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(template(), folder, dirs_exist_ok=True)
        with Store.open("s.db", Path(folder)).closing() as store:
            yield store


def told(store: Store, stream: list[Said], *, undone: bool = False) -> Desk:
    """Every correction of a stream; with `undone` some of what counted is undone on the way."""
    desk = Desk(store, TRUST)
    for degrees, label, person, undo in stream:
        one = desk.correct(degrees, label, person)
        if undone and undo and one.state == "counts":
            desk.undo(one.id)
    return desk


def angles(found: list[Feedback]) -> list[float]:
    return [float(one.text.split()[-1]) for one in found]


@settings(max_examples=30, deadline=None)
@given(streams)
def test_no_order_or_interleaving_lets_more_count_than_the_caps(stream: list[Said]) -> None:
    with empty() as store:
        desk = told(store, stream, undone=True)
        for person in ("ann", "bea", "cid"):
            own = angles(desk.live(person))
            assert len(own) <= TRUST.person_day
            for centre in own:
                assert sum(abs(centre - other) < 9.99 for other in own) <= TRUST.person
        assert sum(one.person is None for one in desk.live()) <= TRUST.unnamed_day
        kept = store.feedback.list()
        assert len(kept) == len(stream), "whatever is held is kept"
        assert all((one.state == "counts") or one.reason for one in kept)


@settings(max_examples=30, deadline=None)
@given(streams, st.integers(0, 40))
def test_undoing_a_person_restores_every_answer_bit_for_bit(stream: list[Said], asked: int) -> None:
    with empty() as store:
        desk = told(store, stream)
        before, counted = taught(desk.live()), [one.id for one in desk.live()]
        for degrees, label, _, _ in stream:
            desk.correct(degrees + 1, label, "mallory")
        poisoned = desk.live()
        server = taught(poisoned)
        if store.feedback.list(person="mallory", state="counts"):
            desk.undo(person="mallory")
        for one in poisoned:
            if one.id not in {left.id for left in desk.live()}:
                server.forget(one.id)
        question = ("intent", "shop", f"about {asked}", direction(asked), SCORES)
        assert [one.id for one in desk.live()] == counted
        assert taught(desk.live()).recall(*question) == before.recall(*question)
        assert server.recall(*question) == before.recall(*question)


def taught(corrections: list[Feedback]) -> Memory:
    memory = Memory({"intent": Fixed(0.98)})
    for number, one in enumerate(corrections):
        vector = direction(float(one.text.split()[-1]))
        memory.learn("intent", "shop", one.text, vector, SCORES, str(one.label), one.id, (number, number))
    return memory
