"""One thread infers; whoever asks waits on a future. Channels that compete take turns.

The thread takes what waits, at most `batch` rows, one from each channel in turn. An idle server so answers
one row at once, a busy one in batches. When the queue is full, the channel that holds most of it gives way
(longest queue drop: Suter et al. 1998), so that no channel can shut out another.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from headrace.errors import NotServed, ServerFull
from headrace.serving.bank import Bank
from headrace.serving.engine import Ask, Scored

Answer = Future[Scored]


class Infers(Protocol):
    """What the batcher asks of an engine."""

    def answer(self, asks: Sequence[Ask]) -> list[Scored | NotServed]:
        """One answer per ask, in order."""
        ...

    def swap(self, bank: Bank) -> None:
        """Serve by `bank` from the next call on."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows answered, batches run, rows refused for a full queue, batches that failed, rows that wait now."""

    rows: int = 0
    batches: int = 0
    refused: int = 0
    failed: int = 0
    waiting: int = 0


class Batcher:
    """Gathers asks of all channels into batches for `engine`; at most `queue` rows wait."""

    def __init__(
        self,
        engine: Infers,
        *,
        batch: int = 32,
        queue: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._batch, self._queue, self._clock = engine, batch, queue, clock
        self._waiting: OrderedDict[str, deque[tuple[Ask, Answer]]] = OrderedDict()
        self._count, self._rows, self._batches, self._refused, self._failed = 0, 0, 0, 0, 0
        self._seconds_a_row = 0.005
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="headrace-inference", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        """A consistent view of the counters."""
        with self._changed:
            return Counts(self._rows, self._batches, self._refused, self._failed, self._count)

    def submit(self, ask: Ask) -> Answer:
        """A future of the answer; it fails with NotServed where nothing serves the ask.

        Raises ServerFull when the queue is full or the batcher stops. A row already waiting fails with
        ServerFull too, when its channel fills the queue and another one asks.
        """
        future: Answer = Future()
        with self._changed:
            if self._stopping:
                raise ServerFull("the server is stopping.", retry_after=1)
            evicted = self._make_room(ask.channel) if self._count >= self._queue else None
            self._waiting.setdefault(ask.channel, deque()).append((ask, future))
            self._count += 1
            full = self._full()
            self._changed.notify()
        # Outside the lock: the callbacks of a future run in the thread that ends it.
        if evicted and evicted.set_running_or_notify_cancel():
            evicted.set_exception(full)
        return future

    def swap(self, bank: Bank) -> None:
        """Serve by `bank` from the next batch on."""
        self._engine.swap(bank)

    def stop(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """Take no more; answer what waits or, with `drain` False, fail it with ServerFull."""
        with self._changed:
            self._stopping = True
            left = [] if drain else self._take(self._count)
            self._changed.notify_all()
        for _, future in left:
            future.set_exception(ServerFull("the server is stopping.", retry_after=1))
        self._thread.join(timeout)

    def _make_room(self, channel: str) -> Answer:
        """Take the newest row of the channel that holds most; refuse `channel` where that is itself."""
        longest = max(self._waiting, key=lambda name: len(self._waiting[name]))
        own = len(self._waiting.get(channel, ()))
        self._refused += 1
        if len(self._waiting[longest]) <= own + 1:
            raise self._full()
        self._count -= 1
        return self._waiting[longest].pop()[1]

    def _full(self) -> ServerFull:
        wait = max(1, math.ceil(self._count * self._seconds_a_row))
        return ServerFull(f"{self._queue} rows wait already.", retry_after=wait)

    def _take(self, most: int) -> list[tuple[Ask, Answer]]:
        """Up to `most` rows, one of each channel in turn; those that nobody waits for are dropped."""
        taken: list[tuple[Ask, Answer]] = []
        while self._waiting and len(taken) < most:
            channel, rows = self._waiting.popitem(last=False)
            ask, future = rows.popleft()
            if rows:
                self._waiting[channel] = rows
            self._count -= 1
            if future.set_running_or_notify_cancel():
                taken.append((ask, future))
        return taken

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._count or self._stopping)
                if not self._count:
                    return
                taken = self._take(self._batch)
            if taken:
                self._run(taken)

    def _run(self, taken: Sequence[tuple[Ask, Answer]]) -> None:
        began = self._clock()
        try:
            answers = self._engine.answer([ask for ask, _ in taken])
            pairs = list(zip(taken, answers, strict=True))
        except Exception as error:  # whatever it is, it belongs to those who wait for this batch
            self._finished(len(taken), began, failed=1)
            for _, future in taken:
                future.set_exception(error)
            return
        self._finished(len(taken), began, failed=0)
        for (_, future), answer in pairs:
            if isinstance(answer, NotServed):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _finished(self, rows: int, began: float, *, failed: int) -> None:
        with self._changed:
            self._rows += rows
            self._batches += 1
            self._failed += failed
            self._seconds_a_row += 0.1 * ((self._clock() - began) / rows - self._seconds_a_row)
