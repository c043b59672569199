"""One reserved range of addresses for the weights of all adapters, so that rows of many share one gather.

Addresses cost nothing until they are written to: memory grows with what is in use, freed pages go back to
the system, and an adapter never moves, so a batch under way is not disturbed by one that comes or goes.
"""

from __future__ import annotations

import bisect
import mmap
import threading
from collections import deque

import numpy as np
import numpy.typing as npt

from headrace.errors import ArtifactError

UNIT = 512  # bytes of which extents are multiples
_NO_RESERVE = 0x4000 if hasattr(mmap, "MAP_ANONYMOUS") else 0  # MAP_NORESERVE, which mmap names since 3.13


class Extent:
    """A run of bytes of an arena, free again when nobody refers to it."""

    __slots__ = ("_arena", "size", "start")

    def __init__(self, arena: Arena, start: int, size: int) -> None:
        self._arena, self.start, self.size = arena, start, size

    @property
    def memory(self) -> npt.NDArray[np.uint8]:
        """Its bytes, to read and to write."""
        return self._arena.memory[self.start : self.start + self.size]

    def __del__(self) -> None:
        self._arena.release(self.start, self.size)


class Arena:
    """Hands out extents of `reserve` bytes of address space. Safe from several threads."""

    def __init__(self, reserve: int) -> None:
        self._map = reserved(reserve // mmap.PAGESIZE * mmap.PAGESIZE)
        self.memory: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self._free: list[tuple[int, int]] = [(0, len(self._map))]
        self._returned: deque[tuple[int, int]] = deque()
        self._lock = threading.Lock()
        self.used = 0

    def take(self, size: int) -> Extent:
        """`size` bytes, rounded up; raises ArtifactError where no run is that long."""
        wanted = -(-max(size, 1) // UNIT) * UNIT
        with self._lock:
            self._settle()
            for number, (start, length) in enumerate(self._free):
                if length >= wanted:
                    left = [(start + wanted, length - wanted)] if length > wanted else []
                    self._free[number : number + 1] = left
                    self.used += wanted
                    return Extent(self, start, wanted)
        raise ArtifactError(
            f"there is no room in memory for an adapter of {size} bytes.",
            cure="Raise serve.memory in the recipe.",
        )

    def release(self, start: int, size: int) -> None:
        """Take an extent back and give its pages to the system; extents call this at their end."""
        # An extent may end in a garbage collection, in a thread that holds the lock: it then waits its turn.
        self._returned.append((start, size))
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        while self._returned:
            start, size = self._returned.popleft()
            low, high = self._merge(start, start + size)
            self.used -= size
            self._give_back(max(low, _down(start)), min(high, _up(start + size)))

    def _merge(self, low: int, high: int) -> tuple[int, int]:
        """Put a run among the free ones, joined with its neighbours; what it is part of now."""
        first = last = bisect.bisect(self._free, (low, high))
        if first and sum(self._free[first - 1]) == low:
            first -= 1
            low = self._free[first][0]
        if last < len(self._free) and self._free[last][0] == high:
            high = sum(self._free[last])
            last += 1
        self._free[first:last] = [(low, high - low)]
        return low, high

    def _give_back(self, low: int, high: int) -> None:
        first, end = _up(low), _down(high)
        if end > first and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, first, end - first)


def reserved(size: int) -> mmap.mmap:
    """Anonymous memory whose pages cost nothing until they are written to."""
    if hasattr(mmap, "MAP_ANONYMOUS"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
    return mmap.mmap(-1, size)


def _down(place: int) -> int:
    return place // mmap.PAGESIZE * mmap.PAGESIZE


def _up(place: int) -> int:
    return -(-place // mmap.PAGESIZE) * mmap.PAGESIZE
