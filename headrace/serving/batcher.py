"""One thread infers; whoever asks is told from it. Channels that compete get their share of tokens.

The thread takes what waits, at most `batch` rows, the channels in fair turns. An idle server so answers one
row at once, a busy one in batches. Where several channels ask, one that asks more than the others together
does not fill every batch: who came with one row would wait for all of its rows. When the queue is full, the
channel that holds most of it gives way, so that no channel can shut out another. Rows whose adapter must come
from disk first stand aside while another thread fetches it, and then go before their channel's others: who is
in memory never waits for a disk.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from headrace.errors import ServerFull
from headrace.serving.bank import Bank
from headrace.serving.calls import Call, Done, Promise
from headrace.serving.engine import Ask, Scored, Unanswered
from headrace.serving.fair import FairQueue

_FETCHES = 8  # times that a row's adapter may be pushed out again before the row could run
_RECENT = 1000  # batches whose time is remembered
_FEW = 4  # rows that a channel may always bring into a batch
_COMPANY = 16  # batches that a channel is not taken to be alone after another one asked


class Infers(Protocol):
    """What the batcher asks of an engine."""

    def answer(self, asks: Sequence[Ask]) -> list[Scored | Unanswered]:
        """One answer per ask, in order."""
        ...

    def swap(self, bank: Bank) -> None:
        """Serve by `bank` from the next call on."""
        ...

    def cost(self, ask: Ask) -> int:
        """Tokens that the row will take, at least 1."""
        ...

    def absent(self, ask: Ask) -> Hashable | None:
        """The adapter that must come from disk before the ask can be answered; None where none must."""
        ...

    def fetch(self, key: Hashable) -> None:
        """Bring an absent adapter in; called from another thread than `answer`. Raises ArtifactError."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows answered, batches run, rows refused for a full queue, batches that failed, rows that wait now.

    `fetched` counts adapters that came from disk.
    """

    rows: int = 0
    batches: int = 0
    refused: int = 0
    failed: int = 0
    waiting: int = 0
    fetched: int = 0


@dataclass(slots=True)
class _Row:
    """One ask of a call, at `place` of it; `fetches` counts how often its adapter was brought in."""

    ask: Ask
    call: Call
    place: int
    fetches: int = 0


class Batcher:
    """Gathers asks of all channels into batches of at most `batch` rows; at most `queue` rows wait."""

    def __init__(
        self,
        engine: Infers,
        *,
        batch: int = 32,
        queue: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._batch, self._most, self._clock = engine, batch, queue, clock
        self._waiting: FairQueue[_Row] = FairQueue()
        self._aside: dict[Hashable, list[_Row]] = {}
        self._rows, self._batches, self._refused, self._failed, self._fetched = 0, 0, 0, 0, 0
        self._seconds_a_row = 0.005
        self._last_channel, self._alone = "", _COMPANY
        self._recent: deque[tuple[int, float]] = deque(maxlen=_RECENT)
        self._changed = threading.Condition(threading.Lock())
        self._asleep = self._stopping = False
        self._thread = threading.Thread(target=self._work, name="headrace-inference", daemon=True)
        self._loader = _Loader(self._bring)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        """A consistent view of the counters."""
        with self._changed:
            return Counts(
                self._rows, self._batches, self._refused, self._failed, self._count(), self._fetched
            )

    @property
    def recent(self) -> list[tuple[int, float]]:
        """Rows and seconds of each of the last batches, oldest first."""
        with self._changed:
            return list(self._recent)

    def submit(self, ask: Ask) -> Future[Scored]:
        """A future of the answer; it fails with NotServed where nothing serves the ask.

        Raises ServerFull when the queue is full or the batcher stops. A row already waiting fails with
        ServerFull too, when its channel fills the queue and another one asks.
        """
        promise = Promise()
        self._post([ask], promise)
        return promise.future

    def post(self, asks: Sequence[Ask], done: Done) -> Call:
        """Ask, and have `done` called once, from a thread of ours: with the answers, or with an error.

        The first row that fails fails the call. Raises ServerFull as `submit` does, all or none taken.
        """
        call = Call(len(asks), done)
        self._post(asks, call)
        return call

    def swap(self, bank: Bank) -> None:
        """Serve by `bank` from the next batch on."""
        self._engine.swap(bank)

    def stop(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """Take no more; answer what waits or, with `drain` False, fail it with ServerFull."""
        with self._changed:
            self._stopping = True
            left = [] if drain else self._empty()
            self._changed.notify_all()
        for row in left:
            row.call.settle(row.place, _stopping())
        self._thread.join(timeout)
        self._loader.stop()

    def _post(self, asks: Sequence[Ask], call: Call) -> None:
        evicted: list[_Row] = []
        try:
            with self._changed:
                if self._stopping:
                    raise _stopping()
                self._add(asks, call, evicted)
                if self._asleep:
                    self._asleep = False
                    self._changed.notify()
        except ServerFull:
            call.cancel()
            raise
        finally:
            # Outside the lock: who is told runs in this thread.
            for row in evicted:
                row.call.settle(row.place, self._full())

    def _add(self, asks: Sequence[Ask], call: Call, evicted: list[_Row]) -> None:
        """Let all rows of a call wait, or none of them, and then nobody makes room for it."""
        for place, ask in enumerate(asks):
            try:
                if self._count() >= self._most:
                    evicted.append(self._make_room(ask.channel))
            except ServerFull:
                for added in reversed(asks[:place]):
                    self._waiting.withdraw(added.channel, 1)
                for row in evicted:
                    self._waiting.add(row.ask.channel, row)
                self._refused -= len(evicted)
                evicted.clear()
                raise
            self._waiting.add(ask.channel, _Row(ask, call, place))

    def _count(self) -> int:
        return len(self._waiting) + sum(map(len, self._aside.values()))

    def _make_room(self, channel: str) -> _Row:
        """Take the newest row of the channel that holds most; refuse `channel` where that is itself."""
        self._refused += 1
        row = self._waiting.drop_newest_of_longest(channel)
        if row is None:
            raise self._full()
        return row

    def _full(self) -> ServerFull:
        wait = max(1, math.ceil(self._most * self._seconds_a_row))
        return ServerFull(f"{self._most} rows wait already.", retry_after=wait)

    def _empty(self) -> list[_Row]:
        left = [row for rows in self._aside.values() for row in rows]
        self._aside.clear()
        while found := self._waiting.take():
            left.append(found[1])
            self._waiting.charge(found[0], 0)
        return left

    def _work(self) -> None:
        while self._wait():
            taken = self._take()
            if taken:
                self._run(taken)

    def _wait(self) -> bool:
        """Sleep until a row waits; False where none will come any more."""
        with self._changed:
            while not len(self._waiting):
                if self._stopping and not self._aside:
                    return False
                self._asleep = True
                self._changed.wait()
            self._asleep = False
            return True

    def _take(self) -> list[_Row]:
        """Up to `batch` rows that can run, the channels in fair turns."""
        taken: list[_Row] = []
        rows: Counter[str] = Counter()
        held: list[tuple[str, _Row]] = []
        charged: tuple[str, int] | None = None
        while True:
            with self._changed:  # not held while tokens are counted: who asks must not wait for that
                if charged:
                    self._waiting.charge(*charged)
                    charged = None
                found = self._waiting.take() if len(taken) < self._batch else None
                if found is None:
                    self._let_go(held)
                    break
            if self._has_enough(found[0], rows):
                held.append(found)  # not charged yet: its channel gives no other row meanwhile
                continue
            before = len(taken)
            charged = found[0], self._admit(found[1], taken)
            rows[found[0]] += len(taken) - before
        self._keep_company(rows)
        return taken

    def _let_go(self, held: Sequence[tuple[str, _Row]]) -> None:
        """Put rows that were not taken after all before their channels' others."""
        for channel, row in held:
            self._waiting.put_back(channel, [row])
            self._waiting.charge(channel, 0)

    def _has_enough(self, channel: str, rows: Counter[str]) -> bool:
        """Whether a row of `channel` would only make others wait: it has as many in the batch as they have."""
        its = rows[channel]
        alone = self._alone >= _COMPANY and its == rows.total()
        return its >= _FEW and its >= rows.total() - its and not alone

    def _keep_company(self, rows: Counter[str]) -> None:
        """Count the batches since more than one channel asked."""
        if len(rows) == 1 and self._last_channel in rows:
            self._alone += 1
        elif rows:
            self._alone, self._last_channel = 0, next(iter(rows))

    def _admit(self, row: _Row, taken: list[_Row]) -> int:
        """Put a row into the batch, or aside where its adapter is on disk; its tokens."""
        try:
            key = self._engine.absent(row.ask)
            if key is not None:
                self._set_aside(key, row)
            elif row.call.begin():
                tokens = self._engine.cost(row.ask)
                taken.append(row)
                return tokens
        except Exception as error:  # whatever it is, it belongs to who asked
            row.call.settle(row.place, error)
        return 0

    def _set_aside(self, key: Hashable, row: _Row) -> None:
        row.fetches += 1
        if row.fetches > _FETCHES:
            raise ServerFull("too many adapters are asked for at once.", retry_after=1)
        with self._changed:
            first = key not in self._aside
            self._aside.setdefault(key, []).append(row)
        if first:
            self._loader.ask(key)

    def _bring(self, key: Hashable) -> None:
        """In the loader's thread: fetch an adapter and let its rows go on."""
        failed: Exception | None = None
        try:
            self._engine.fetch(key)
        except Exception as error:  # whatever it is, it belongs to the rows that wait for this adapter
            failed = error
        with self._changed:
            rows = self._aside.pop(key, [])
            self._fetched += failed is None
            if failed is None:
                self._return(rows)
            self._asleep = False
            self._changed.notify_all()
        if failed is not None:
            for row in rows:
                row.call.settle(row.place, failed)

    def _return(self, rows: Sequence[_Row]) -> None:
        by_channel: dict[str, list[_Row]] = {}
        for row in rows:
            by_channel.setdefault(row.ask.channel, []).append(row)
        for channel, its in by_channel.items():
            self._waiting.put_back(channel, its)

    def _run(self, taken: Sequence[_Row]) -> None:
        began = self._clock()
        try:
            answers = self._engine.answer([row.ask for row in taken])
            pairs = list(zip(taken, answers, strict=True))
        except Exception as error:  # whatever it is, it belongs to those who wait for this batch
            self._finished(len(taken), began, failed=1)
            for row in taken:
                row.call.settle(row.place, error)
            return
        self._finished(len(taken), began, failed=0)
        for row, answer in pairs:
            row.call.settle(row.place, answer)

    def _finished(self, rows: int, began: float, *, failed: int) -> None:
        seconds = self._clock() - began
        with self._changed:
            self._rows += rows
            self._batches += 1
            self._failed += failed
            self._recent.append((rows, seconds))
            self._seconds_a_row += 0.1 * (seconds / rows - self._seconds_a_row)


class _Loader:
    """A thread, begun when it is first needed, that brings one adapter after another."""

    def __init__(self, bring: Callable[[Hashable], None]) -> None:
        self._bring = bring
        self._keys: queue.SimpleQueue[Hashable | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, key: Hashable) -> None:
        """Bring `key` once those asked for before are in; called from one thread only."""
        self._keys.put(key)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="headrace-loader", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End once what was asked for is in."""
        if self._thread is not None:
            self._keys.put(None)

    def _work(self) -> None:
        while (key := self._keys.get()) is not None:
            self._bring(key)


def _stopping() -> ServerFull:
    return ServerFull("the server is stopping.", retry_after=1)
