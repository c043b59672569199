"""Documents are read again beside a server when their files change, or when a site is due."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.typing import FilteringBoundLogger

from headrace.errors import AlreadyRunning
from headrace.knowledge.sync import sync
from headrace.knowledge.watch import Watch
from headrace.project import Project

SECONDS = 3.0
"""Between two looks."""
_WAIT = 2.0


@contextmanager
def reading(project: Project, log: FilteringBoundLogger, *, seconds: float = SECONDS) -> Iterator[None]:
    """Keep the project's documents current while the block runs, by the recipe as it stands at each look."""
    reader = _Reader(project, log, seconds)
    thread = threading.Thread(target=reader.run, name="headrace-documents", daemon=True)
    thread.start()
    try:
        yield
    finally:
        reader.stopped.set()
        # A page that is on its way need not be waited for: what is not stored is read the next time.
        thread.join(_WAIT)


class _Stopped(Exception):
    """The server ends."""


class _Reader:
    def __init__(self, project: Project, log: FilteringBoundLogger, seconds: float) -> None:
        self._project, self._log, self._seconds = project, log, seconds
        self._recipe = project.recipe
        self._watch = Watch(project.folder, self._recipe, project.clock)
        self.stopped = threading.Event()

    def run(self) -> None:
        """Look, read, and look again."""
        while not self.stopped.is_set():
            try:
                self._look()
            except _Stopped:
                return
            except AlreadyRunning:
                # Another process of this project reads the same files.
                self._log.debug("documents are being read elsewhere")
            except Exception:
                # One format's fault must not keep the others from being read, nor end the server.
                if not self.stopped.is_set():
                    self._log.warning("documents could not be read", exc_info=True)
            self.stopped.wait(self._seconds)

    def _look(self) -> None:
        recipe = self._project.recipe
        if recipe is not self._recipe:
            self._recipe, self._watch = recipe, Watch(self._project.folder, recipe, self._project.clock)
        names = self._watch.changed()
        if not names:
            return
        found = sync(
            self._project.store,
            recipe,
            self._project.folder,
            sources=names,
            clock=self._project.clock,
            progress=self._heard,
        )
        if found.added or found.changed or found.removed or found.unread:
            counts = {"added": found.added, "changed": found.changed, "removed": found.removed}
            self._log.info("documents read", **counts, unread=sorted(found.unread))

    def _heard(self, stage: str, done: int, total: int) -> None:
        if self.stopped.is_set():
            raise _Stopped
