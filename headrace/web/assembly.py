"""A project -> the Service of its server: engine, batcher, memory and what follows the store and the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from headrace import recipe as recipes
from headrace.data.mask import Masker
from headrace.errors import HeadraceError
from headrace.feedback.memory import Memory
from headrace.project import RECIPE, Project
from headrace.recipe import Recipe
from headrace.records import Channel
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Engine
from headrace.serving.live import Live
from headrace.web.ports import NoMemory
from headrace.web.service import Limits, Neighbours, Service


@contextmanager
def assembled(project: Project) -> Iterator[Service]:
    """The service of a project, not started yet; its inference thread ends with the block."""
    serve = project.recipe.serve
    batcher = Batcher(Engine(batch=serve.batch, threads=serve.threads), batch=serve.batch, queue=serve.queue)
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
    )
    try:
        yield Service(neighbours, limits=Limits(body=serve.body), clock=project.clock, ids=project.ids)
    finally:
        batcher.stop()


class Following:
    """A project whose recipe is read again when its file changes, so that a new channel is served at once.

    A recipe with mistakes changes nothing: what was read before goes on.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._path = project.folder / RECIPE
        self._seen = self._stamp()
        self._read = project.recipe

    @property
    def recipe(self) -> Recipe:
        """The recipe as it stands now."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._read = self._project.recipe = recipes.read(self._path)
            except HeadraceError:
                return self._read
        return self._read

    def channel(self, name: str) -> Channel:
        """The channel called `name`; raises NotFound."""
        return self.recipe.channel(name)

    def labels(self, task: str) -> tuple[str, ...]:
        """The labels that corrections of a task may name."""
        return self._project.labels(task) if self.recipe else ()

    def mask(self, channel: str, text: str) -> str:
        """A text as it is stored, its private details replaced."""
        recipe = self.recipe
        language = recipe.channels[channel].language if channel in recipe.channels else ""
        return _masker(recipe.clean.mask, language).mask(text)[0]

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _masker(kinds: tuple[str, ...], language: str) -> Masker:
    return Masker(kinds, language)
