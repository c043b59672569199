"""Adapters in memory up to a limit: who makes room, who comes back, and that nobody's bytes change meanwhile."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from serving_parts import SITES, Shop, tiny_base, tiny_delta, tiny_head

from headrace.errors import ArtifactError
from headrace.serving import spool as spooling
from headrace.serving.arena import UNIT, Arena
from headrace.serving.bank import Bank
from headrace.serving.engine import Ask, Engine, Scored
from headrace.serving.shelf import Loaded
from headrace.serving.spool import Spool

LABELS, MANY = ["a", "b", "c"], 12


def stocked(folder: Path, *, deltas: bool = False) -> Shop:
    """A shop with a channel and an adapter of its own each."""
    shop, base = Shop(folder / "store"), tiny_base(folder / "base")
    for n in range(MANY):
        delta = tiny_delta(n, rank=2 + n % 2) if deltas else None
        head = tiny_head(base, LABELS, n, delta=deltas)
        shop.add(f"adapter-{n}", base, head, channel=f"c{n}", delta=delta, sites=SITES if deltas else ())
        shop.release(f"r{n}", f"adapter-{n}", f"c{n}")
    return shop


def answers(engine: Engine, order: list[int]) -> list[Scored]:
    """The answer of each channel in `order` to one text, asked one by one."""
    found = [engine.answer([Ask("intent", f"c{n}", "w1 w5 w7")])[0] for n in order]
    return [answer for answer in found if isinstance(answer, Scored)]


@pytest.mark.parametrize("deltas", [False, True])
def test_adapters_beyond_the_limit_come_back_unchanged(tmp_path: Path, deltas: bool) -> None:
    shop = stocked(tmp_path, deltas=deltas)
    whole = shop.bank()
    each = whole.load("adapter-0").bytes
    small = shop.bank(limit=4 * each)
    order = [int(n) for n in np.random.default_rng(0).integers(0, MANY, 60)]
    right = answers(Engine(whole, remembered=0), order)
    engine = Engine(small, remembered=0)
    for own, found in zip(right, answers(engine, order), strict=True):
        assert found.adapter == own.adapter
        assert np.array_equal(found.probabilities, own.probabilities)
    gc.collect()
    assert small.shelf.bytes <= small.shelf.limit
    assert sum(f"adapter-{n}" in small.shelf for n in range(MANY)) == small.shelf.bytes // each
    assert engine.answer([Ask("intent", f"c{n}", "w1") for n in range(MANY)])  # all at once, beyond the limit


def test_the_least_recently_used_makes_room_first(tmp_path: Path) -> None:
    shop = stocked(tmp_path)
    each = shop.bank().load("adapter-0").bytes
    bank = shop.bank(limit=3 * each)
    engine = Engine(bank, remembered=0)
    answers(engine, [0, 1, 2, 0, 3])
    assert [f"adapter-{n}" in bank.shelf for n in range(5)] == [True, False, True, True, False]
    assert engine.absent(Ask("intent", "c1", "w1")) == "adapter-1"
    assert engine.absent(Ask("intent", "c0", "w1")) is None
    assert engine.absent(Ask("intent", "nobody", "w1")) is None
    engine.fetch("adapter-1")
    assert engine.absent(Ask("intent", "c1", "w1")) is None


def test_what_a_batch_holds_is_not_overwritten_when_it_made_room(tmp_path: Path) -> None:
    shop = stocked(tmp_path, deltas=True)
    bank = shop.bank(limit=shop.bank().load("adapter-0").bytes)
    held = bank.load("adapter-0")
    before, row = held.head.extent.memory.copy(), held.row
    for n in range(1, MANY):
        other = bank.load(f"adapter-{n}")
        assert other.head.extent.start != held.head.extent.start
        assert other.slot is not None
        assert held.slot is not None
        assert (other.slot.bank, other.row) != (held.slot.bank, row)
    assert np.array_equal(held.head.extent.memory, before)


def test_without_room_on_disk_an_adapter_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = stocked(tmp_path)
    bank = shop.bank(limit=shop.bank().load("adapter-0").bytes)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spooling.os, "pwrite", full)
    engine, order = Engine(bank, remembered=0), [0, 1, 0, 1, 0]
    for own, found in zip(
        answers(Engine(shop.bank(), remembered=0), order), answers(engine, order), strict=True
    ):
        assert np.array_equal(found.probabilities, own.probabilities)


def test_a_released_adapter_without_a_graph_is_refused_beyond_the_limit_too(tmp_path: Path) -> None:
    shop = stocked(tmp_path)
    bank = shop.bank(limit=1)
    files = dict(shop.adapters[-1].files)
    del files["graph.onnx"]
    object.__setattr__(shop.adapters[-1], "files", files)
    with pytest.raises(ArtifactError, match=r"graph\.onnx missing"):
        shop.bank(limit=1)
    assert bank.load("adapter-3").adapter == "adapter-3"


def test_extents_do_not_overlap_and_free_ones_join_again() -> None:
    arena, random = Arena(1 << 20), np.random.default_rng(1)
    held: dict[int, tuple[object, int]] = {}
    for step in range(3000):
        if held and random.random() < 0.5:
            name = int(random.choice(list(held)))
            extent, mark = held.pop(name)
            assert (extent.memory == mark).all()  # type: ignore[attr-defined]
            del extent
        elif len(held) < 40:
            fresh, mark = arena.take(int(random.integers(1, 20_000))), step % 251
            fresh.memory[:] = mark
            held[step] = (fresh, mark)
    assert arena.used == sum(extent.size for extent, _ in held.values())  # type: ignore[attr-defined]
    held.clear()
    fresh = None
    assert arena.used == 0
    whole = arena.take(1 << 20)
    assert whole.size == 1 << 20
    with pytest.raises(ArtifactError, match="room"):
        arena.take(UNIT)


def test_a_spool_forgets_and_begins_anew_where_most_is_forgotten(tmp_path: Path) -> None:
    spool, memory = Spool(tmp_path), np.zeros(4, np.uint8)
    for name in "abcd":
        assert spool.put(name, np.full(4, ord(name), np.uint8))
    assert spool.read_into("c", memory)
    assert memory.tolist() == [ord("c")] * 4
    spool.keep({"a", "b", "c"})
    assert set(spool.names) == {"a", "b", "c"}
    spool.keep({"a"})
    assert set(spool.names) == set()
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_on_trial_takes_no_place(tmp_path: Path) -> None:
    shop = stocked(tmp_path)
    files = {name: shop.path(digest) for name, digest in shop.adapters[0].files.items()}
    engine = Engine()
    assert engine.scores(files, ["w1", "w2"]).shape == (2, 3)
    gc.collect()
    assert engine.bank.shelf.bytes == 0
    assert engine.bank.shelf.heads.arena.used == 0


def test_bases_that_no_adapter_needs_any_more_are_let_go(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "store")
    one, two = tiny_base(tmp_path / "one"), tiny_base(tmp_path / "two", seed=1)
    engine = Engine(shop.bank())
    for name, base in (("one", one), ("two", two)):
        head = tiny_head(base, LABELS, 1, delta=True)
        shop.add(name, base, head, channel="shop", delta=tiny_delta(1), sites=SITES)
        shop.release(f"r-{name}", name, "shop")
        engine.swap(shop.bank(engine.bank))
        assert engine.answer([Ask("intent", "shop", "w1")])
    assert len(engine.bank.shelf.encoders) == 1


def test_a_delta_that_changed_on_disk_meanwhile_is_refused_and_others_in_the_call_are_answered(
    tmp_path: Path,
) -> None:
    shop = stocked(tmp_path, deltas=True)
    engine = Engine(shop.bank(limit=1), remembered=0)  # each makes room for the next
    asks = [Ask("intent", f"c{n}", "w1 w5 w7") for n in range(3)]
    before = engine.answer(asks)
    path = shop.path(shop.adapters[1].files["adapter_model.safetensors"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # still a delta, only another one
    path.write_bytes(content)
    first, second, third = engine.answer(asks)
    assert isinstance(second, ArtifactError)
    assert "adapter_model.safetensors is damaged" in second.message
    for old, new in ((before[0], first), (before[2], third)):
        assert isinstance(old, Scored)
        assert isinstance(new, Scored)
        assert np.array_equal(old.probabilities, new.probabilities)


def test_what_was_swapped_out_while_it_was_fetched_takes_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = stocked(tmp_path)
    engine = Engine(shop.bank(limit=1), remembered=0)
    before, load = engine.bank, Bank.load
    for n in range(MANY - 1):
        shop.release(f"again-{n}", f"adapter-{MANY - 1}", f"c{n}")
    after = shop.bank(before)

    def swap_and_load(bank: Bank, adapter: str) -> Loaded:
        if bank is before:
            engine.swap(after)
        return load(bank, adapter)

    monkeypatch.setattr(Bank, "load", swap_and_load)
    engine.fetch("adapter-3")
    assert "adapter-3" not in before.shelf
    engine.swap(before)
    assert engine.answer([Ask("intent", "c4", "w1")])
    assert "adapter-4" not in before.shelf
