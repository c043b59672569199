"""Rows of many channels in one queue; each channel gets its share of tokens, not of requests.

Start-time fair queueing (Goyal, Vin and Cheng 1996): a row starts at the virtual time at which its channel's
row before it ended, or now where that is past, and the earliest start goes first. A channel of long texts so
gets no more tokens than a channel of short ones, and a channel that was away has saved nothing up.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

R = TypeVar("R")
_SMALL = 4096  # channels whose ends are remembered before the past ones are forgotten


class FairQueue(Generic[R]):
    """Rows by channel. Not safe from several threads: its owner holds a lock.

    A row's tokens are told after it was taken (`charge`), since counting them is work that most rows which
    are refused never need; until then its channel gives no other row.
    """

    def __init__(self) -> None:
        self._rows: dict[str, deque[R]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._ends: dict[str, float] = {}
        self._now, self._number, self._count = 0.0, 0, 0
        self._forget_at = _SMALL
        self._longest: list[tuple[int, str]] | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, channel: str, row: R) -> None:
        """Put a row behind those of its channel."""
        self._extend(channel, (row,), front=False)

    def put_back(self, channel: str, rows: Sequence[R]) -> None:
        """Put rows, in their order, before those of their channel."""
        self._extend(channel, rows[::-1], front=True)

    def waiting(self, channel: str) -> int:
        """How many rows of a channel wait."""
        return len(self._rows.get(channel, ()))

    def take(self) -> tuple[str, R] | None:
        """The row whose turn it is, with its channel; `charge` its tokens next. None where nothing waits."""
        while self._heap:
            start, _, channel = heapq.heappop(self._heap)
            rows = self._rows.get(channel)
            if rows:
                self._now = max(self._now, start)
                self._count -= 1
                self._longest = None
                return channel, rows.popleft()
            self._rows.pop(channel, None)
        return None

    def charge(self, channel: str, tokens: int) -> None:
        """Count the tokens of the row just taken; 0 where it was not run after all."""
        self._ends[channel] = max(self._ends.get(channel, 0.0), self._now) + tokens
        if self._rows.get(channel):
            self._queue(channel)
        else:
            self._rows.pop(channel, None)
            self._forget()

    def drop_newest_of_longest(self, channel: str) -> R | None:
        """Take the newest row of the channel that has most, to make room for one of `channel`.

        None where `channel` itself would then have most (longest queue drop: Suter et al. 1998).
        """
        while True:
            if not self._longest:
                self._longest = [(-len(rows), name) for name, rows in self._rows.items()]
                heapq.heapify(self._longest)
            size, longest = self._longest[0]
            now = self.waiting(longest)
            if now != -size:
                heapq.heapreplace(self._longest, (-now, longest))
            elif now <= self.waiting(channel) + 1:
                return None
            else:
                self._count -= 1
                return self._rows[longest].pop()

    def withdraw(self, channel: str, count: int) -> None:
        """Take back the newest `count` rows of a channel, which came last."""
        rows = self._rows[channel]
        for _ in range(count):
            rows.pop()
        self._count -= count
        self._longest = None

    def _extend(self, channel: str, rows: Iterable[R], *, front: bool) -> None:
        known = self._rows.get(channel)
        if known is None:
            known = self._rows[channel] = deque()
            self._queue(channel)
        before = len(known)
        (known.extendleft if front else known.extend)(rows)
        self._count += len(known) - before
        if self._longest is not None:
            heapq.heappush(self._longest, (-len(known), channel))

    def _queue(self, channel: str) -> None:
        self._number += 1
        start = max(self._now, self._ends.get(channel, 0.0))
        heapq.heappush(self._heap, (start, self._number, channel))

    def _forget(self) -> None:
        """Drop ends that are past: they delay nobody."""
        if len(self._ends) > self._forget_at:
            self._ends = {name: end for name, end in self._ends.items() if end > self._now}
            self._forget_at = _SMALL + 2 * len(self._ends)
