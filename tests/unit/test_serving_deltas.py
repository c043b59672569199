"""Deltas in slots: put, freed, put again, and memory that grows with use alone."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from serving_parts import INNER, SITES, WIDTH, tiny_delta

from headrace.errors import ArtifactError, InputError
from headrace.models.delta import MODULES
from headrace.serving.deltas import DeltaBank, bank_inputs, group_of, groups_of

WIDTHS = {
    (layer, module): (
        INNER if module == "output.dense" else WIDTH,
        INNER if module == "intermediate.dense" else WIDTH,
    )
    for layer in (0, 1)
    for module in MODULES
}


def test_a_slot_holds_a_delta_and_slot_0_none() -> None:
    bank, delta = DeltaBank(WIDTHS, 5, 4), tiny_delta(1, rank=3)
    assert bank.put(delta) == 1
    for site in WIDTHS:
        a, b = (bank.values[name].numpy() for name in bank_inputs(site))
        place = groups_of(WIDTHS)[group_of(site)].index(site)
        mine = a[1, :, place * 5 : place * 5 + 5] @ b[1]
        expected = delta.update(*site) if site in delta.factors else None
        assert np.abs(mine - (0 if expected is None else expected.T)).max() < 1e-5
        assert not a[0].any()
        assert not b[0].any()


def test_a_freed_slot_is_used_again_and_holds_nothing_of_before() -> None:
    bank = DeltaBank(WIDTHS, 4, 3)
    first, second = bank.put(tiny_delta(1, rank=4)), bank.put(tiny_delta(2, rank=4))
    assert {first, second} == {1, 2}
    with pytest.raises(ArtifactError, match="more than 2 deltas"):
        bank.put(tiny_delta(3))
    bank.free(first)
    assert bank.used == 1
    assert bank.put(tiny_delta(4, rank=2, sites=SITES[:1])) == first
    for site in SITES[1:]:
        assert not bank.values[bank_inputs(site)[1]].numpy()[first].any()


def test_a_delta_of_higher_rank_or_of_other_sites_is_refused() -> None:
    bank = DeltaBank({site: WIDTHS[site] for site in SITES}, 3, 4)
    assert bank.fits(tiny_delta(1, rank=3))
    for wrong in (tiny_delta(1, rank=4), tiny_delta(1, sites=[(0, "attention.self.key")])):
        assert not bank.fits(wrong)
        with pytest.raises(InputError, match="rank 3"):
            bank.put(wrong)
    assert bank.used == 0


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' account of memory")
def test_memory_grows_with_the_slots_in_use_and_not_with_the_capacity() -> None:
    widths = {(0, "attention.output.dense"): (384, 384), (0, "intermediate.dense"): (384, 1536)}
    delta = tiny_delta(1).__class__(
        {
            site: (np.ones((8, into), np.float32), np.ones((out, 8), np.float32))
            for site, (into, out) in widths.items()
        },
        1.0,
    )
    gc.collect()
    before = _resident()
    bank = DeltaBank(widths, 8, 200_000)
    assert bank.slot_bytes * bank.capacity > 1 << 34
    slots = [bank.put(delta) for _ in range(400)]
    assert _resident() - before < 1.1 * 400 * bank.slot_bytes + (4 << 20)
    for slot in slots:
        bank.free(slot)
    for _ in slots:
        bank.put(delta)
    assert _resident() - before < 1.1 * 400 * bank.slot_bytes + (4 << 20)
