"""Once a day, beside the server: what is older than the recipe's days is deleted."""

from __future__ import annotations

import threading

from structlog.typing import FilteringBoundLogger

from headrace.errors import AlreadyRunning, HeadraceError
from headrace.project import Project
from headrace.store.lock import only_one
from headrace.store.retention import expire

FIRST, DAY = 60.0, 86_400.0
"""Seconds from the server's start to the first time, and from one to the next."""


class Retaining:
    """Deletes what is too old, in a thread of its own; one process of a project does it."""

    def __init__(
        self, project: Project, log: FilteringBoundLogger, *, first: float = FIRST, every: float = DAY
    ) -> None:
        self._project, self._log = project, log
        self._first, self._every = first, every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-retention", daemon=True)

    def start(self) -> None:
        """Begin to wait for the first time."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the deletion under way."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        wait = self._first
        while not self._stopping.wait(wait):
            self.once()
            wait = self._every

    def once(self) -> None:
        """Delete now."""
        project = self._project
        try:
            with only_one(project.store.database, project.folder, "retention", "retention."):
                counts = expire(project.store.database, project.recipe.retention, project.clock())
        except AlreadyRunning:
            return
        except HeadraceError as error:
            self._log.warning("retention is late", error=error.message)
            return
        if counts:
            self._log.info("retention", **counts)
