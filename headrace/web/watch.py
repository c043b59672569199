"""A thread that notices what others did to recipe and store: a release, a rollback, feedback, a key."""

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
    """Every `every` seconds: `recipe`, reload on a new release or trial, learn feedback, empty the store's log.

    `step` then lets trials take their steps. Replies that are old are forgotten once an hour.
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
        recipe: Callable[[], None] = lambda: None,
        step: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._learner, self._ring = store, learner, ring
        self._reload, self._log = reload, log
        self._every, self._clock, self._recipe, self._step = every, clock, recipe, step
        self._version: tuple[int, ...] = (-1,)
        self._reload_at = 0.0
        self._swept, self._forgotten = clock() - _HOUR, 0
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
        """One look at the recipe and at the store."""
        self._recipe()
        at = time.monotonic()
        self._ring.seen(self._store.keys.version(), at)
        version = (self._store.history.version(), *self._store.trials.version())
        if version != self._version and at >= self._reload_at:
            self._follow(version)
        forgotten = self._store.forgets.version()
        if forgotten != self._forgotten:
            self._learner.drop_deleted()
            self._forgotten = forgotten
        self._learner.catch_up()
        self._step()
        self._store.database.checkpoint()
        now = self._clock()
        if abs(now - self._swept) >= _HOUR:
            self._swept = now
            self._store.replies.forget_before(now - REPLIES_KEPT)

    def _follow(self, version: tuple[int, ...]) -> None:
        """Serve by the newest releases and trials; where that fails, what served and all else goes on."""
        try:
            self._reload()
        except HeadraceError:
            if self._version[0] < 0:
                raise
            self._reload_at = time.monotonic() + _RETRY
            self._log.exception("reload failed", version=version[0])
            return
        if version[0] != self._version[0]:  # no trial changes what serves, by which corrections are known
            self._learner.again()
        self._version = version
        self._log.info("reloaded", version=version[0], trials=version[2])

    def _work(self) -> None:
        failures = 0
        while not self._stop.wait(self._every * min(2**failures, 64)):
            try:
                self.look()
                failures = 0
            except Exception:  # what served keeps serving; the next look tries again, later each time
                failures += 1
                self._log.exception("watch failed", failures=failures)
