"""A project -> the Service of its server: engine, batcher, memory and what follows the store and the recipe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache

from headrace import recipe as recipes
from headrace.data.mask import Masker
from headrace.errors import HeadraceError, NotFound
from headrace.feedback.memory import Memory
from headrace.feedback.regions import regions_of
from headrace.project import Project
from headrace.recipe import RECIPE, Recipe
from headrace.records import Channel
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Engine
from headrace.serving.live import Live
from headrace.web.ports import NoMemory
from headrace.web.reading import reading
from headrace.web.service import Limits, Neighbours, Service
from headrace.web.stepping import Stepping

WRITE_LOCK = ".writing"


@contextmanager
def assembled(project: Project, *, several: bool = False) -> Iterator[Service]:
    """The service of a project, not started yet; its inference thread ends with the block.

    `several` says that other processes serve the same project, with which it takes turns to write.
    """
    serve = project.recipe.serve
    # Two batches' worth at a time: the engine then finds rows of like length among them.
    engine = Engine(batch=serve.batch, threads=serve.threads)
    batcher = Batcher(engine, batch=2 * serve.batch, queue=serve.queue)
    memory, following = Memory(plausible=project.recipe.trust.plausible), Following(project)
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
        look=following.look,
        step=Stepping(project, engine).step,
        trust=lambda: following.recipe.trust,
        regions=lambda task, width: regions_of(memory.reach(task), width),
        recent=lambda: batcher.recent,
    )
    try:
        service = Service(neighbours, limits=_limits(project, several), clock=project.clock, ids=project.ids)
        with reading(project, service.log):
            yield service
    finally:
        batcher.stop()


def _limits(project: Project, several: bool) -> Limits:
    serve = project.recipe.serve
    # The desk of a server writes beside its writer, as other processes do.
    shares_file = (several or bool(project.recipe.support.channels)) and project.store.database.is_sqlite
    return Limits(
        body=serve.body,
        acknowledge_first=serve.acknowledge == "first",
        write_lock=project.folder / WRITE_LOCK if shares_file else None,
    )


@dataclass(frozen=True)
class _Read:
    """A recipe, and its channels as they were asked for."""

    recipe: Recipe
    channels: dict[str, Channel]


class Following:
    """A project whose recipe is read again when its file changes, so that a new channel is served at once.

    `look` does the reading, in whatever thread calls it; nothing else waits for the file. A recipe with
    mistakes changes nothing: what was read before goes on.
    """

    def __init__(self, project: Project) -> None:
        self._project, self._lock = project, threading.Lock()
        self._path = project.folder / RECIPE
        self._seen = self._stamp()
        self._now = _Read(project.recipe, {})

    def look(self) -> None:
        """Read the recipe where its file is not what it was."""
        with self._lock:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            with suppress(HeadraceError):
                self._project.recipe = recipes.read(self._path)
                self._now = _Read(self._project.recipe, {})

    @property
    def recipe(self) -> Recipe:
        """The recipe as it stood at the last look."""
        return self._now.recipe

    def channel(self, name: str) -> Channel:
        """The channel called `name`; raises NotFound."""
        now = self._now
        known = now.channels.get(name)
        if known is None:
            known = now.channels[name] = now.recipe.channel(name)
        return known

    def labels(self, task: str) -> tuple[str, ...]:
        """The labels that corrections of a task may name."""
        return self._project.labels(task)

    def mask(self, channel: str, text: str) -> str:
        """A text as it is stored, its private details replaced."""
        try:
            language = self.channel(channel).language
        except NotFound:
            language = ""
        return _masker(self.recipe.clean.mask, language).mask(text)[0]

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _masker(kinds: tuple[str, ...], language: str) -> Masker:
    return Masker(kinds, language)
