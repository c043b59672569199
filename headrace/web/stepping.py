"""Trials take their steps beside a server: when something was said, and now and then for the rows alone."""

from __future__ import annotations

import time
from collections.abc import Callable

from headrace.project import Project
from headrace.serving.engine import Engine

NEWS = 2.0  # seconds between two looks while audits and feedback come
ROWS = 30.0  # seconds between two looks while none do


class Stepping:
    """`step` is called often and rarely has to do anything.

    Several servers of one project may do it at once: the store lets one of them take each step.
    """

    def __init__(
        self, project: Project, engine: Engine, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._project, self._engine, self._clock = project, engine, clock
        self._seen = (0, 0)
        self._broken: frozenset[str] = frozenset()
        self._at = clock() - ROWS

    def step(self) -> None:
        """Let every open trial take its next step, where it is time."""
        waited, broken = self._clock() - self._at, self._engine.bank.broken
        fresh = broken.keys() - self._broken
        if waited < NEWS and not fresh:
            return
        store = self._project.store
        seen = (store.shadows.version(), store.feedback.version())
        if seen != self._seen or fresh or waited >= ROWS:
            self._seen, self._at, self._broken = seen, self._clock(), frozenset(broken)
            self._project.prover.step(broken)
