"""A row's answer does not depend on who shares its batch: texts, channels, tasks, bases, deltas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_parts import SITES, WORDS, Shop, tiny_base, tiny_delta, tiny_head

from headrace.serving.bank import Bank
from headrace.serving.encoder import Encoder, length_groups
from headrace.serving.engine import Ask, Engine, Scored

PAIRS = [("intent", "shop"), ("intent", "forum"), ("intent", "partner"), ("mood", "shop"), ("mood", "forum")]
texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join),
    st.text(st.characters(exclude_categories=[]), max_size=30),
)
asks = st.lists(
    st.builds(lambda pair, text: Ask(pair[0], pair[1], text), st.sampled_from(PAIRS), texts), max_size=24
)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder = tmp_path_factory.mktemp("isolation")
    shop, one, two = Shop(folder / "store"), tiny_base(folder / "one"), tiny_base(folder / "two", seed=1)
    shop.add("shared", one, tiny_head(one, ["a", "b", "c"], 1), sites=SITES)
    for name, seed, rank in (("forum", 2, 3), ("partner", 3, 5)):
        head = tiny_head(one, ["a", "b", "c", "d"], seed, delta=True)
        shop.add(name, one, head, channel=name, delta=tiny_delta(seed, rank), sites=SITES)
    shop.add("moods", two, tiny_head(two, ["up", "down"], 4), task="mood")
    for channel, adapter in (("shop", "shared"), ("forum", "forum"), ("partner", "partner")):
        shop.release(f"r-{channel}", adapter, channel)
    shop.release("r-mood", "moods", "shop", "mood")
    return shop.bank()


def alone(bank: Bank, ask: Ask) -> Scored:
    answer = Engine(bank, remembered=0).answer([ask])[0]
    assert isinstance(answer, Scored)
    return answer


@settings(max_examples=50, deadline=None)
@given(asks=asks, batch=st.integers(1, 8))
def test_a_rows_answer_does_not_depend_on_its_batch_mates(bank: Bank, asks: list[Ask], batch: int) -> None:
    answers = Engine(bank, batch=batch, remembered=0).answer(asks)
    assert len(answers) == len(asks)
    for ask, mixed in zip(asks, answers, strict=True):
        own = alone(bank, ask)
        assert isinstance(mixed, Scored)
        assert (mixed.label, mixed.release, mixed.adapter) == (own.label, own.release, own.adapter)
        assert np.abs(mixed.probabilities - own.probabilities).max() < 1e-5
        assert np.abs(mixed.embedding - own.embedding).max() < 1e-5


@settings(max_examples=30, deadline=None)
@given(first=asks, second=asks)
def test_what_was_answered_before_changes_no_answer(bank: Bank, first: list[Ask], second: list[Ask]) -> None:
    engine = Engine(bank, remembered=8)
    engine.answer(first)
    for ask, later in zip(second, engine.answer(second), strict=True):
        own = alone(bank, ask)
        assert isinstance(later, Scored)
        assert (later.label, later.adapter) == (own.label, own.adapter)
        assert np.abs(later.probabilities - own.probabilities).max() < 1e-5


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(2, 128), max_size=80), batch=st.integers(1, 32))
def test_groups_hold_every_row_once_and_are_of_like_length(lengths: list[int], batch: int) -> None:
    groups = list(length_groups(lengths, batch))
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) <= batch
        assert max(lengths[i] for i in group) <= 1.15 * min(lengths[i] for i in group)


def test_half_a_surrogate_pair_is_answered_too(bank: Bank) -> None:
    for channel in ("shop", "forum"):
        broken, mark = (
            alone(bank, Ask("intent", channel, "w1 \ud800")),
            alone(bank, Ask("intent", channel, "w1 ?")),
        )
        assert np.abs(broken.embedding - mark.embedding).max() < 1e-5


def test_an_embedding_has_length_one_and_padding_does_not_show(bank: Bank) -> None:
    encoder: Encoder = next(iter(bank.encoders().values()))
    rows = encoder.tokenize(["w1 w2", " ".join(WORDS[:40])])
    together = encoder.graph.run(rows, np.zeros(2, np.int64), None)
    by_itself = np.concatenate([encoder.graph.run([row], np.zeros(1, np.int64), None) for row in rows])
    assert np.abs(together - by_itself).max() < 1e-5
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
