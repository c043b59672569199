"""The deltas of many adapters in memory that a graph reads in place: one slot each, written while others run.

A graph is given this memory once (IO binding) and gathers the slots that a batch names. The arrays are laid
on anonymous memory as large as the capacity asks; what no slot has used costs nothing, so a bank may be
opened for many more adapters than there are.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort

from headrace.errors import ArtifactError, InputError
from headrace.models.delta import Delta
from headrace.serving.arena import reserved
from headrace.serving.weights import KEY, QUERY, VALUE, Array

Site = tuple[int, str]
_TOGETHER = (QUERY, KEY, VALUE)
_ATTENTION = "attention.self"
_SMALL = 4 << 20  # bytes of an array that stay in small pages, lest a few deltas take much memory


def group_of(site: Site) -> Site:
    """The (layer, name) whose A a site shares: query, key and value of a layer read the same input."""
    return (site[0], _ATTENTION) if site[1] in _TOGETHER else site


def groups_of(sites: Sequence[Site] | Mapping[Site, object]) -> dict[Site, list[Site]]:
    """The sites by group, each group's in the order in which its A holds them."""
    found: dict[Site, list[Site]] = {}
    for site in sorted(sites, key=lambda s: (s[0], _TOGETHER.index(s[1]) if s[1] in _TOGETHER else 0, s[1])):
        found.setdefault(group_of(site), []).append(site)
    return found


def bank_inputs(site: Site) -> tuple[str, str]:
    """The graph inputs of a site: A [N, in, m r] of its group of m sites, and its own B [N, r, out]."""
    group = group_of(site)
    return f"A.{group[0]}.{group[1]}", f"B.{site[0]}.{site[1]}"


class DeltaBank:
    """`capacity` slots for deltas of at most `rank`, slot 0 the empty one: all zeros, no delta.

    `sites` maps each (layer, module) that the graph takes to its (in, out) widths; `values` are the graph's
    inputs over this memory. `put` may run while a graph reads other slots. Whoever frees a slot must know that
    no batch reads it any more. A delta of higher rank needs a new bank: `fits` tells.
    """

    def __init__(self, sites: Mapping[Site, tuple[int, int]], rank: int, capacity: int) -> None:
        self.sites, self.capacity, self.rank = dict(sites), capacity, rank
        self._lock = threading.Lock()
        self._fresh, self._freed = 1, deque[int]()
        self._a: dict[Site, tuple[Array, int]] = {}
        self._b: dict[Site, Array] = {}
        self.values: dict[str, ort.OrtValue] = {}
        for group in groups_of(self.sites).values():
            width = self.sites[group[0]][0]
            a = _memory(capacity, width, len(group) * rank)
            self.values[bank_inputs(group[0])[0]] = ort.OrtValue.ortvalue_from_numpy(a)
            for place, site in enumerate(group):
                self._a[site] = (a, place * rank)
                self._b[site] = _memory(capacity, rank, self.sites[site][1])
                self.values[bank_inputs(site)[1]] = ort.OrtValue.ortvalue_from_numpy(self._b[site])

    @property
    def used(self) -> int:
        """Slots in use, the empty one not counted."""
        return self._fresh - 1 - len(self._freed)

    @property
    def slot_bytes(self) -> int:
        """The memory that one delta takes here."""
        return 4 * self.rank * sum(width + out for width, out in self.sites.values())

    def fits(self, delta: Delta) -> bool:
        """Whether `delta` changes only sites of this bank, in its widths, with at most its rank."""
        return all(
            a.shape[0] <= self.rank and self.sites.get(site) == (a.shape[1], b.shape[0])
            for site, (a, b) in delta.factors.items()
        )

    def put(self, delta: Delta) -> int:
        """Write `delta` into a free slot and return the slot.

        Raises InputError where it does not fit, ArtifactError where no slot is free.
        """
        if not self.fits(delta):
            raise InputError(
                f"the bank takes deltas of rank {self.rank} at most, on the sites of its graph.",
                cure="Open a bank of that rank over a graph with those sites.",
            )
        slot = self._take()
        self._write(slot, delta)
        return slot

    def free(self, slot: int) -> None:
        """Give `slot` back, once; the next `put` that takes it overwrites what stands there."""
        # No lock: it may be called at the end of an object, in a thread that holds the lock.
        self._freed.append(slot)

    def _take(self) -> int:
        with self._lock:
            if self._freed:
                return self._freed.pop()
            if self._fresh == self.capacity:
                raise ArtifactError(
                    f"there is no room in memory for more than {self.capacity - 1} deltas.",
                    cure="Raise serve.memory in the recipe.",
                )
            self._fresh += 1
            return self._fresh - 1

    def _write(self, slot: int, delta: Delta) -> None:
        scaling = np.float32(delta.scaling)
        for site, (whole, start) in self._a.items():
            a, b = whole[slot, :, start : start + self.rank], self._b[site][slot]
            a[:], b[:] = 0, 0
            if site in delta.factors:
                down, up = delta.factors[site]
                a[:, : len(down)] = down.T
                b[: len(down)] = up.T * scaling


def _memory(slots: int, rows: int, columns: int) -> Array:
    """Zeros [slots, rows, columns] whose pages cost nothing until they are written."""
    size = 4 * slots * rows * columns
    area = reserved(size)
    if size > 2 * _SMALL and hasattr(mmap, "MADV_HUGEPAGE"):
        # Gathering from a large bank waits for address translation: big pages make it 4 % of a batch faster.
        area.madvise(mmap.MADV_HUGEPAGE, _SMALL, size - _SMALL)
    return np.frombuffer(area, np.float32).reshape(slots, rows, columns)
