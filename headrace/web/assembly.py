"""A project -> the Service of its server: engine, batcher, memory and what follows the store and the recipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from headrace import recipe as recipes
from headrace.data.mask import Masker
from headrace.errors import HeadraceError, NotFound
from headrace.feedback.memory import Memory
from headrace.project import RECIPE, Project
from headrace.recipe import Recipe
from headrace.records import Channel
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Engine
from headrace.serving.live import Live
from headrace.web.ports import NoMemory
from headrace.web.service import Limits, Neighbours, Service

WRITE_LOCK = ".writing"


@contextmanager
def assembled(project: Project, *, several: bool = False) -> Iterator[Service]:
    """The service of a project, not started yet; its inference thread ends with the block.

    `several` says that other processes serve the same project, with which it takes turns to write.
    """
    serve = project.recipe.serve
    # Two batches' worth at a time: the engine then finds rows of like length among them.
    batcher = Batcher(
        Engine(batch=serve.batch, threads=serve.threads), batch=2 * serve.batch, queue=serve.queue
    )
    memory, following = Memory(), Following(project)
    live = Live(project.store, project.recipe, memory, batcher.swap, threads=serve.threads)
    neighbours = Neighbours(
        store=project.store,
        channel=following.channel,
        labels=following.labels,
        batcher=batcher,
        memory=memory if project.recipe.memory.enabled else NoMemory(),
        mask=following.mask,
        ready=lambda: live.ready,
        reload=live.reload,
        recent=lambda: batcher.recent,
    )
    try:
        yield Service(neighbours, limits=_limits(project, several), clock=project.clock, ids=project.ids)
    finally:
        batcher.stop()


def _limits(project: Project, several: bool) -> Limits:
    serve = project.recipe.serve
    shares_file = several and project.store.database.is_sqlite
    return Limits(
        body=serve.body,
        acknowledge_first=serve.acknowledge == "first",
        write_lock=project.folder / WRITE_LOCK if shares_file else None,
    )


class Following:
    """A project whose recipe is read again when its file changes, so that a new channel is served at once.

    A recipe with mistakes changes nothing: what was read before goes on. A channel that is known is looked at
    again after `trust` seconds: a look at the file costs a request more than all else here.
    """

    def __init__(self, project: Project, *, trust: float = 0.2) -> None:
        self._project, self._trust = project, trust
        self._path = project.folder / RECIPE
        self._seen = self._stamp()
        self._read = project.recipe
        self._channels: dict[str, Channel] = {}
        self._until = 0.0

    @property
    def recipe(self) -> Recipe:
        """The recipe as it stands now."""
        self._until = time.monotonic() + self._trust
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._read = self._project.recipe = recipes.read(self._path)
            except HeadraceError:
                return self._read
            self._channels = {}
        return self._read

    def channel(self, name: str) -> Channel:
        """The channel called `name`; raises NotFound."""
        known = self._channels.get(name)
        if known is None or time.monotonic() >= self._until:
            known = self.recipe.channel(name)
            self._channels[name] = known
        return known

    def labels(self, task: str) -> tuple[str, ...]:
        """The labels that corrections of a task may name."""
        return self._project.labels(task) if self.recipe else ()

    def mask(self, channel: str, text: str) -> str:
        """A text as it is stored, its private details replaced."""
        try:
            language = self.channel(channel).language
        except NotFound:
            language = ""
        return _masker(self._read.clean.mask, language).mask(text)[0]

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _masker(kinds: tuple[str, ...], language: str) -> Masker:
    return Masker(kinds, language)
