"""Answers are on disk before they are sent: one thread commits what all requests wait for at that moment.

While one transaction is being synced the next one gathers, so the cost of a sync is shared by as many
requests as came meanwhile (group commit: DeWitt et al. 1984).
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from headrace.channels.quotas import Taken
from headrace.errors import ServerFull, StoreBusy, StoreFull
from headrace.records import Answer, Feedback
from headrace.store import Reply, Store

_STOP = None


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key of a channel; `digest` is its request's."""

    channel: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one request has to say to the store: all of it is kept, or nothing.

    With a `claim` the `reply` is kept too; where that key has a reply already, nothing else of the entry is.
    """

    at: datetime
    answers: Sequence[Answer] = ()
    feedback: Feedback | None = None
    taken: Taken | None = None
    claim: Claim | None = None
    reply: Reply | None = None


_Waiting = tuple[Entry, "Future[Reply | None]"]


class Writer:
    """Commits entries in groups of at most `most`; at most `waiting` wait."""

    def __init__(self, store: Store, *, most: int = 256, waiting: int = 4096) -> None:
        self._store, self._most = store, most
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(waiting)
        self._stopping = threading.Event()
        self.commits = 0
        self._thread = threading.Thread(target=self._work, name="headrace-writer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def put(self, entry: Entry) -> Future[Reply | None]:
        """A future that ends once the entry is on disk, with None, or with the earlier reply to its claim.

        It fails with a StoreError where nothing of the entry was kept. Raises ServerFull.
        """
        future: Future[Reply | None] = Future()
        if self._stopping.is_set():
            raise ServerFull("the server is stopping.", retry_after=1)
        try:
            self._queue.put_nowait((entry, future))
        except queue.Full:
            raise ServerFull("too many answers wait to be stored.", retry_after=1) from None
        return future

    def stop(self) -> None:
        """Commit what waits, then end."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._queue.put(_STOP)
        self._thread.join()

    def _work(self) -> None:
        while True:
            group, last = self._gather()
            if group:
                self._commit(group)
            if last:
                return

    def _gather(self) -> tuple[list[_Waiting], bool]:
        """What waits, at least one, and whether it is the last."""
        group: list[_Waiting] = []
        item = self._queue.get()
        while item is not _STOP:
            if item[1].set_running_or_notify_cancel():
                group.append(item)
            if len(group) >= self._most:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            earlier = self._write([entry for entry, _ in group])
        except (StoreFull, StoreBusy) as error:
            _fail(group, error)
        except Exception as error:  # it belongs to the requests that wait, whatever it is
            if len(group) == 1:
                _fail(group, error)
                return
            # One entry that the database refuses must not take the others with it.
            for item in group:
                self._commit([item])
        else:
            for (_, future), reply in zip(group, earlier, strict=True):
                future.set_result(reply)

    def _write(self, entries: Sequence[Entry]) -> list[Reply | None]:
        with self._store.transaction() as connection:
            earlier = [self._claim(connection, entry) for entry in entries]
            fresh = [entry for entry, reply in zip(entries, earlier, strict=True) if reply is None]
            self._store.answers.add_in(connection, [a for entry in fresh for a in entry.answers])
            for entry in fresh:
                if entry.feedback is not None:
                    self._store.feedback.add_in(connection, entry.feedback)
            self._store.usage.add_in(connection, _usage(fresh))
        self.commits += 1
        return earlier

    def _claim(self, connection: Connection, entry: Entry) -> Reply | None:
        claim, reply = entry.claim, entry.reply
        if claim is None or reply is None:
            return None
        return self._store.replies.add_in(connection, claim.channel, claim.key, reply, entry.at)


def _usage(entries: Sequence[Entry]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for taken in (entry.taken for entry in entries):
        if taken is not None:
            counts[taken.channel, taken.day] += taken.questions
    return counts


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for _, future in group:
        future.set_exception(error)
