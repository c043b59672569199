"""Two adapters of a trial answer one question: what it costs, what is sent, and what a damaged one does."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from serving_parts import SITES, Shop, tiny_base, tiny_delta, tiny_head

from headrace.serving.bank import Bank
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Ask, Engine, Scored
from headrace.serving.graph import Graph
from headrace.serving.trials import OpenTrial

LABELS = ["a", "b", "c"]
TRIAL = OpenTrial("trl", "intent", "shop", "old", "new", "shadow", "salt", 0.0, 1.0, 0.5)
CANARY = replace(TRIAL, stage="canary", canary=0.5)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each inference."""
    real, seen = Graph.run, list[int]()

    def counted(self: Graph, ids: list[np.ndarray], *rest: object) -> np.ndarray:
        seen.append(len(ids))
        return real(self, ids, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Graph, "run", counted)
    return seen


def shop_of(folder: Path, *, delta: bool = False) -> Shop:
    """A shop in which `old` serves and `new` does not."""
    shop, base = Shop(folder / "store"), tiny_base(folder / "base")
    shop.add("old", base, tiny_head(base, LABELS, 1), sites=SITES if delta else ())
    shop.release("r1", "old", "shop")
    head = tiny_head(base, LABELS, 2, delta=delta)
    shop.add("new", base, head, delta=tiny_delta(2) if delta else None, sites=SITES if delta else ())
    return shop


def trying(shop: Shop, bank: Bank, *trials: OpenTrial) -> Bank:
    return bank.trying(trials, bank.sources, shop.adapters, shop.path)


def ask(number: int = 0, user: str = "u", text: str = "w1 w2 w3") -> Ask:
    return Ask("intent", "shop", text, user, f"ans_{number}")


def one(engine: Engine, asked: Ask) -> Scored:
    (found,) = engine.answer([asked])
    assert isinstance(found, Scored)
    return found


@pytest.mark.parametrize(("delta", "rows"), [(False, 1), (True, 2)])
def test_heads_of_one_base_share_what_it_makes_of_a_text(
    tmp_path: Path, runs: list[int], delta: bool, rows: int
) -> None:
    shop = shop_of(tmp_path, delta=delta)
    engine = Engine(trying(shop, shop.bank(), TRIAL))
    found = one(engine, ask())
    assert sum(runs) == rows
    assert found.beside is not None
    assert (found.adapter, found.release) == ("old", "r1")
    assert (found.beside.scored.adapter, found.beside.trial) == ("new", TRIAL)
    alone = Engine(shop.bank()).answer([ask()])[0]
    assert isinstance(alone, Scored)
    assert np.array_equal(alone.probabilities, found.probabilities)
    assert np.array_equal(alone.embedding, found.serving.embedding)
    assert one(engine, Ask("intent", "shop", "w1 w2 w3")).beside is None  # nobody asks: no trial


def test_a_canary_sends_the_challenger_to_its_users_and_a_stale_trial_covers_nothing(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    engine = Engine(trying(shop, shop.bank(), CANARY))
    for number in range(40):
        found = one(engine, ask(number, f"user {number}"))
        chosen = CANARY.sends_challenger(f"user {number}")
        assert (found.adapter, found.release) == (("new", "trl") if chosen else ("old", "r1"))
        assert found.serving.adapter == "old"
    shop.release("r2", "new", "shop")  # it has won, and nobody has told yet that the trial is over
    engine.swap(trying(shop, shop.bank(), CANARY))
    found = one(engine, ask(0, "user 0"))
    assert (found.adapter, found.release, found.beside) == ("new", "r2", None)


def test_trials_begin_and_end_under_load_between_two_batches(tmp_path: Path) -> None:
    shop = shop_of(tmp_path)
    plain = shop.bank()
    banks = [trying(shop, plain), trying(shop, plain, TRIAL), trying(shop, plain, CANARY)]
    right = {
        (name, n): one(Engine(shop_bank(shop, name)), ask(n, text=f"w{n} w{n + 1}")).label
        for name in ("old", "new")
        for n in range(20)
    }
    batcher, stop = Batcher(Engine(banks[0], remembered=8), batch=8), threading.Event()
    heard: list[tuple[int, str, Scored]] = []
    failed: list[BaseException] = []

    def asking(first: int) -> None:
        number = first
        while not stop.is_set():
            try:
                asked = ask(number, f"user {number % 9}", f"w{number % 20} w{number % 20 + 1}")
                heard.append((number % 20, asked.user, batcher.submit(asked).result(30)))
            except BaseException as error:
                failed.append(error)
            number += 4

    clients = [threading.Thread(target=asking, args=(n,)) for n in range(4)]
    for client in clients:
        client.start()
    for number in range(300):
        batcher.swap(banks[number % 3])
        stop.wait(0.002)
    stop.set()
    for client in clients:
        client.join()
    batcher.stop()
    assert failed == []
    assert {found.beside.trial.stage if found.beside else "none" for _, _, found in heard} == {
        "none",
        "shadow",
        "canary",
    }
    for text, user, found in heard:
        assert found.label == right[found.adapter, text]
        if found.adapter == "new":
            assert (found.release, CANARY.sends_challenger(user)) == ("trl", True)
        if found.beside is not None:
            other = found.beside.scored
            assert {found.adapter, other.adapter} == {"old", "new"}
            assert other.label == right[other.adapter, text]


def shop_bank(shop: Shop, name: str) -> Bank:
    """A bank in which `name` serves."""
    again = Shop(shop.folder)
    again.adapters = shop.adapters
    again.release("r", name, "shop")
    return again.bank()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_damaged_challenger_leaves_the_champion_alone(tmp_path: Path, when: str) -> None:
    """Damaged when its trial begins, or when it must come back from disk."""
    shop = shop_of(tmp_path)
    base = tiny_base(tmp_path / "base")
    for number in range(3):
        shop.add(f"other {number}", base, tiny_head(base, LABELS, 9 + number), channel=f"c{number}")
        shop.release(f"r {number}", f"other {number}", f"c{number}")
    head = shop.path(shop.adapters[1].files["head.safetensors"])
    if when == "before":
        head.write_bytes(b"damaged")
    # No more than one adapter fits: every other one waits on disk.
    engine = Engine(trying(shop, shop.bank(limit=1), TRIAL))
    if when == "after":
        engine.bank.shelf.keep({name: s for name, s in engine.bank.sources.items() if name != "new"})
        head.write_bytes(b"damaged")
    batcher = Batcher(engine, batch=4)
    others = [batcher.submit(Ask("intent", f"c{n}", "w1", "u", f"a{n}")) for n in range(3)]
    found = [batcher.submit(ask(number)).result(30) for number in range(3)]
    assert [future.result(30).adapter for future in others] == ["other 0", "other 1", "other 2"]
    batcher.stop()
    assert [(one.adapter, one.beside) for one in found] == [("old", None)] * 3
    assert "damaged" in engine.bank.broken["trl"]
