"""What the engine remembers, and for whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from serving_parts import SITES, Shop, tiny_base, tiny_delta, tiny_head

from headrace.records import Release
from headrace.serving.bank import Bank
from headrace.serving.engine import Ask, Engine, Scored
from headrace.serving.graph import Graph
from headrace.serving.lru import Lru

LABELS = ["a", "b"]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each inference."""
    real, seen = Graph.run, list[int]()

    def counted(self: Graph, ids: list[np.ndarray], *rest: object) -> np.ndarray:
        seen.append(len(ids))
        return real(self, ids, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Graph, "run", counted)
    return seen


def test_a_text_is_encoded_once_for_a_channel_whatever_adapter_serves_it_and_again_for_another(
    tmp_path: Path, runs: list[int]
) -> None:
    shop, base = Shop(tmp_path / "store"), tiny_base(tmp_path / "base")
    for name, seed in (("one", 1), ("two", 2), ("three", 3)):
        shop.add(name, base, tiny_head(base, LABELS, seed), channel=name)
    shop.release("r1", "one", "shop")
    shop.release("r2", "two", "forum")
    engine = Engine(shop.bank())
    asks = [Ask("intent", "shop", "w1 w2"), Ask("intent", "shop", "w1 w2")]
    first, again = engine.answer(asks)
    assert first is again
    assert runs == [1]
    (forum,) = engine.answer([Ask("intent", "forum", "w1 w2")])
    assert runs == [1, 1]
    shop.release("r3", "three", "shop")
    engine.swap(shop.bank(engine.bank))
    (after,) = engine.answer(asks[:1])
    assert runs == [1, 1]
    assert isinstance(first, Scored)
    assert isinstance(forum, Scored)
    assert isinstance(after, Scored)
    assert [first.adapter, forum.adapter, after.adapter] == ["one", "two", "three"]
    assert not np.allclose(first.probabilities, after.probabilities)


def test_an_embedding_through_a_delta_is_nobody_elses(tmp_path: Path, runs: list[int]) -> None:
    shop, base = Shop(tmp_path / "store"), tiny_base(tmp_path / "base")
    for name, seed in (("one", 1), ("two", 2)):
        head = tiny_head(base, LABELS, seed, delta=True)
        shop.add(name, base, head, channel=name, delta=tiny_delta(seed), sites=SITES)
        shop.release(f"r-{name}", name, name)
    engine = Engine(shop.bank())
    one, two = engine.answer([Ask("intent", "one", "w1 w2"), Ask("intent", "two", "w1 w2")])
    assert sum(runs) == 2
    assert isinstance(one, Scored)
    assert isinstance(two, Scored)
    assert np.abs(one.embedding - two.embedding).max() > 1e-3
    assert engine.answer([Ask("intent", "one", "w1 w2")])[0] is one
    assert sum(runs) == 2


def test_rows_with_and_without_a_delta_share_a_graph_and_no_embedding(
    tmp_path: Path, runs: list[int]
) -> None:
    shop, base = Shop(tmp_path / "store"), tiny_base(tmp_path / "base")
    shop.add("bare", base, tiny_head(base, LABELS, 1), sites=SITES)
    adapted = tiny_head(base, LABELS, 1, delta=True)
    shop.add("adapted", base, adapted, channel="adapted", delta=tiny_delta(1), sites=SITES)
    for name in ("bare", "adapted"):
        shop.release(f"r-{name}", name, name)
    bank = shop.bank()
    asks = [Ask("intent", name, "w1 w2 w3") for name in ("bare", "adapted")]
    alone = [Engine(bank).answer([ask])[0] for ask in asks]
    assert len(bank.shelf.encoders) == 1
    runs.clear()
    engine = Engine(bank)
    for order in (asks, [*reversed(asks)]):
        engine.swap(shop.bank())
        for ask, answer in zip(order, engine.answer(order), strict=True):
            own = alone[asks.index(ask)]
            assert isinstance(answer, Scored)
            assert isinstance(own, Scored)
            assert np.abs(answer.embedding - own.embedding).max() < 1e-5
    assert runs == [2]
    for first, second in (asks, [*reversed(asks)]):
        engine = Engine(bank)
        engine.answer([first])
        (answer,) = engine.answer([second])
        own = alone[asks.index(second)]
        assert isinstance(answer, Scored)
        assert isinstance(own, Scored)
        assert np.abs(answer.embedding - own.embedding).max() < 1e-5


def test_a_call_under_way_ends_on_the_bank_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, base = Shop(tmp_path / "store"), tiny_base(tmp_path / "base")
    for name, seed in (("one", 1), ("two", 2)):
        shop.add(name, base, tiny_head(base, LABELS, seed), channel="shop")
    shop.release("r1", "one", "shop")
    before = shop.bank()
    shop.release("r2", "two", "shop")
    after, engine, find = shop.bank(before), Engine(before), Bank.find

    def find_and_swap(bank: Bank, task: str, channel: str) -> Release:
        engine.swap(after)
        return find(bank, task, channel)

    monkeypatch.setattr(Bank, "find", find_and_swap)
    asks = [Ask("intent", "shop", text) for text in ("w1", "w2", "w3")]
    for release in ("r1", "r2"):
        answers = engine.answer(asks)
        assert [answer.release for answer in answers if isinstance(answer, Scored)] == [release] * 3


def test_an_answer_says_label_confidence_and_scores(tmp_path: Path) -> None:
    shop, base = Shop(tmp_path / "store"), tiny_base(tmp_path / "base")
    shop.add("one", base, tiny_head(base, LABELS, 1))
    shop.release("r1", "one", "shop")
    (answer,) = Engine(shop.bank()).answer([Ask("intent", "shop", "w5")])
    assert isinstance(answer, Scored)
    assert answer.scores[answer.label] == answer.confidence == max(answer.scores.values())
    assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-5)


def test_memory_is_bounded_and_forgets_the_least_recently_used() -> None:
    memory = Lru[str, int](2)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert (memory.get("a"), memory.get("b"), memory.get("c"), len(memory)) == (1, None, 3, 2)
    nothing = Lru[str, int](0)
    nothing.put("a", 1)
    assert len(nothing) == 0
