"""Answers are on disk before they are sent: one thread commits what all requests wait for at that moment.

While one transaction is being synced the next one gathers, so the cost of a sync is shared by as many
requests as came meanwhile (group commit: DeWitt et al. 1984). The thread that commits also makes the entries
(`give`), so that neither the event loop nor the inference thread does, and wakes each loop once a group.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection
from structlog.typing import FilteringBoundLogger

from headrace.channels.quotas import Taken, spent
from headrace.errors import ServerFull, StoreBusy, StoreFull
from headrace.feedback.trust import Ruling, carry_out
from headrace.records import Answer, Feedback, Shadow
from headrace.store import Reply, Store
from headrace.store.table import one_at_a_time

_STOP = None


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key of a channel; `digest` is its request's."""

    channel: str
    key: str
    digest: str


Decide = Callable[[Connection], tuple[Ruling, Reply]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one request has to say to the store: all of it is kept, or nothing.

    With a `claim` the `reply` is kept too; where that key has a reply already, nothing else of the entry is.
    `decide` rules, in the transaction, whether the `feedback` counts, and gives the reply that says so.
    """

    at: datetime
    reply: Reply = field(kw_only=True)
    answers: Sequence[Answer] = ()
    shadows: Sequence[Shadow] = ()
    feedback: Feedback | None = None
    decide: Decide | None = None
    taken: Taken | None = None
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What to send: the entry's reply, or the earlier one to its claim; then it is not the `first`.

    `ruling` is what was decided of its feedback.
    """

    reply: Reply
    first: bool = True
    ruling: Ruling | None = None


Make = Callable[[], Entry]
WriteLock = Callable[[], AbstractContextManager[object]]
Outcome = Kept | Exception
_Waiter = Future[Kept] | asyncio.Future[Kept]


class Writer:
    """Commits entries in groups of at most `most`; at most `waiting` wait.

    An answer beyond its channel's quota fails with QuotaSpent, whichever process asked the others; `heard` is
    told the counts of limited channels. `write_lock` is entered for each transaction, where several processes
    take turns. With `acknowledge_first` answers without a claim are told before they are committed; a commit
    that then fails is logged to `log`.
    """

    def __init__(
        self,
        store: Store,
        *,
        most: int = 256,
        waiting: int = 4096,
        acknowledge_first: bool = False,
        write_lock: WriteLock = nullcontext,
        heard: Callable[[Mapping[tuple[str, str], int]], None] = lambda counts: None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._store, self._most, self._waiting = store, most, waiting
        self._early, self._log = acknowledge_first, log
        self._write_lock, self._heard = write_lock, heard
        self._queue: queue.SimpleQueue[tuple[Make, _Waiter] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self.commits = 0
        self._thread = threading.Thread(target=self._work, name="headrace-writer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def put(self, entry: Entry) -> Future[Kept]:
        """A future that ends once the entry is on disk.

        It fails with a StoreError where nothing of the entry was kept. Raises ServerFull.
        """
        future: Future[Kept] = Future()
        self._give(lambda: entry, future)
        return future

    def give(self, make: Make, future: asyncio.Future[Kept]) -> None:
        """Like `put` for an entry that our thread makes, and a future of any event loop."""
        self._give(make, future)

    def stop(self) -> None:
        """Commit what waits, then end."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._queue.put(_STOP)
        self._thread.join()

    def _give(self, make: Make, waiter: _Waiter) -> None:
        if self._stopping.is_set():
            raise ServerFull("the server is stopping.", retry_after=1)
        if self._queue.qsize() >= self._waiting:
            raise ServerFull("too many answers wait to be stored.", retry_after=1)
        self._queue.put((make, waiter))

    def _work(self) -> None:
        last = False
        while not last:
            group, last = self._gather()
            if group:
                self._commit(self._made(group))

    def _gather(self) -> tuple[list[tuple[Make, _Waiter]], bool]:
        """What waits, at least one, and whether it is the last."""
        group: list[tuple[Make, _Waiter]] = []
        item = self._queue.get()
        while item is not _STOP:
            group.append(item)
            if len(group) >= self._most:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _made(self, group: Iterable[tuple[Make, _Waiter]]) -> list[tuple[Entry, _Waiter]]:
        """The entries of a group; one that cannot be made fails alone."""
        made: list[tuple[Entry, _Waiter]] = []
        failed: list[tuple[_Waiter, Outcome]] = []
        for make, waiter in group:
            try:
                made.append((make(), waiter))
            except Exception as error:  # it belongs to the request that waits, whatever it is
                failed.append((waiter, error))
        tell(failed)
        if self._early:
            tell([(waiter, Kept(entry.reply)) for entry, waiter in made if _may_be_early(entry)])
        return made

    def _commit(self, group: Sequence[tuple[Entry, _Waiter]]) -> None:
        try:
            outcomes = self._write([entry for entry, _ in group])
        except (StoreFull, StoreBusy) as error:
            self._fail(group, error)
        except Exception as error:  # it belongs to the requests that wait, whatever it is
            if len(group) == 1:
                self._fail(group, error)
                return
            # One entry that the database refuses must not take the others with it.
            for item in group:
                self._commit([item])
        else:
            tell([(waiter, outcome) for (_, waiter), outcome in zip(group, outcomes, strict=True)])

    def _fail(self, group: Sequence[tuple[Entry, _Waiter]], error: Exception) -> None:
        tell([(waiter, error) for _, waiter in group])
        lost = sum(len(entry.answers) for entry, _ in group if _may_be_early(entry))
        if self._early and lost and self._log is not None:
            self._log.error("answers were sent and not stored", answers=lost, error=type(error).__name__)

    def _write(self, entries: Sequence[Entry]) -> list[Outcome]:
        with self._write_lock(), self._store.transaction() as connection:
            if any(entry.decide for entry in entries):
                one_at_a_time(connection)  # before any row is locked, so that nobody waits in a circle
            limited = {(t.channel, t.day) for e in entries if (t := e.taken) and t.quota is not None}
            asked = self._store.usage.held_in(connection, limited)
            outcomes = [self._judge(connection, entry, asked) for entry in entries]
            fresh = [e for e, found in zip(entries, outcomes, strict=True) if _is_fresh(found)]
            self._store.answers.add_in(connection, [a for entry in fresh for a in entry.answers])
            self._store.shadows.add_in(connection, [s for entry in fresh for s in entry.shadows])
            for entry in fresh:
                if entry.feedback is not None and entry.decide is None:
                    self._store.feedback.add_in(connection, entry.feedback)
            self._store.usage.add_in(connection, _usage(fresh))
        self.commits += 1
        self._heard(asked)
        return outcomes

    def _judge(self, connection: Connection, entry: Entry, asked: dict[tuple[str, str], int]) -> Outcome:
        """Whether an entry may be kept: it is the first of its claim, and its channel has quota left."""
        if entry.decide is not None:
            return self._rule(connection, entry, entry.decide)
        taken, claim, replies = entry.taken, entry.claim, self._store.replies
        place = (taken.channel, taken.day) if taken else ("", "")
        spends = taken.questions if taken and place in asked else 0
        if taken and spends and asked[place] + spends > (taken.quota or 0):
            earlier = replies.find_in(connection, claim.channel, claim.key) if claim else None
            return Kept(earlier, False) if earlier else spent(taken, asked[place], entry.at)
        if claim:
            earlier = replies.add_in(connection, claim.channel, claim.key, entry.reply, entry.at)
            if earlier:
                return Kept(earlier, False)
        if spends:
            asked[place] += spends
        return Kept(entry.reply)

    def _rule(self, connection: Connection, entry: Entry, decide: Decide) -> Outcome:
        """Feedback, ruled and stored at once, so that the next one of the group is ruled with it in view."""
        claim, replies = entry.claim, self._store.replies
        earlier = replies.find_in(connection, claim.channel, claim.key) if claim else None
        if earlier:
            return Kept(earlier, False)
        ruling, reply = decide(connection)
        if claim:
            earlier = replies.add_in(connection, claim.channel, claim.key, reply, entry.at)
            if earlier:
                return Kept(earlier, False)
        carry_out(self._store, connection, ruling)
        return Kept(reply, ruling=ruling)


def _usage(entries: Sequence[Entry]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for taken in (entry.taken for entry in entries):
        if taken is not None:
            counts[taken.channel, taken.day] += taken.questions
    return counts


def tell(outcomes: Iterable[tuple[_Waiter, Outcome]]) -> None:
    """End futures, from any thread; each event loop is woken once for all of its own."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiter, Outcome]]] = {}
    for waiter, outcome in outcomes:
        if isinstance(waiter, asyncio.Future):
            by_loop.setdefault(waiter.get_loop(), []).append((waiter, outcome))
        elif waiter.set_running_or_notify_cancel():
            _end(waiter, outcome)
    for loop, its in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_end_all, its)


def _end_all(outcomes: Iterable[tuple[_Waiter, Outcome]]) -> None:
    for waiter, outcome in outcomes:
        if not waiter.done():
            _end(waiter, outcome)


def _end(waiter: _Waiter, outcome: Outcome) -> None:
    if isinstance(outcome, Exception):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)


def _is_fresh(outcome: Outcome) -> bool:
    return isinstance(outcome, Kept) and outcome.first


def _may_be_early(entry: Entry) -> bool:
    return entry.claim is None and entry.feedback is None
