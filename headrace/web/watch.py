"""A thread that notices what other processes did to the store: a release, a rollback, feedback, a key."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from headrace.channels.keys import KeyRing
from headrace.errors import HeadraceError
from headrace.records import Clock, utc_now
from headrace.store import Store
from headrace.web.learner import Learner

# Twice the promised day, so that a clock which jumps a day ahead forgets no reply too early.
REPLIES_KEPT = timedelta(hours=48)
_HOUR = timedelta(hours=1)
_RETRY = 5.0  # seconds until a release that could not be loaded is tried again


class Watch:
    """Every `every` seconds: reload on a new release, learn new feedback, empty the database's log.

    Replies that are old are forgotten once an hour.
    """

    def __init__(
        self,
        store: Store,
        learner: Learner,
        ring: KeyRing,
        reload: Callable[[], None],
        log: structlog.typing.FilteringBoundLogger,
        *,
        every: float = 0.2,
        clock: Clock = utc_now,
    ) -> None:
        self._store, self._learner, self._ring = store, learner, ring
        self._reload, self._log = reload, log
        self._every, self._clock = every, clock
        self._version, self._reload_at = -1, 0.0
        self._swept = clock() - _HOUR
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="headrace-watch", daemon=True)

    def start(self) -> None:
        """Look once, so that the first answer knows every release and correction; then keep looking."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """One look at the store."""
        at = time.monotonic()
        self._ring.seen(self._store.keys.version(), at)
        version = self._store.history.version()
        if version != self._version and at >= self._reload_at:
            self._follow(version)
        self._learner.catch_up()
        self._store.database.checkpoint()
        now = self._clock()
        if abs(now - self._swept) >= _HOUR:
            self._swept = now
            self._store.replies.forget_before(now - REPLIES_KEPT)

    def _follow(self, version: int) -> None:
        """Serve by the newest releases; where that fails, what served goes on, and all else goes on too."""
        try:
            self._reload()
        except HeadraceError:
            if self._version < 0:
                raise
            self._reload_at = time.monotonic() + _RETRY
            self._log.exception("reload failed", version=version)
            return
        self._learner.again()
        self._version = version
        self._log.info("reloaded", version=version)

    def _work(self) -> None:
        failures = 0
        while not self._stop.wait(self._every * min(2**failures, 64)):
            try:
                self.look()
                failures = 0
            except Exception:  # what served keeps serving; the next look tries again, later each time
                failures += 1
                self._log.exception("watch failed", failures=failures)
