"""What the store says serves -> what serves in this process; `reload` follows a release or a rollback."""

from __future__ import annotations

import json
from collections.abc import Callable

from headrace.feedback.memory import Memory
from headrace.feedback.radius import Fixed, Radius
from headrace.recipe import Recipe
from headrace.serving.bank import Bank
from headrace.serving.router import Router
from headrace.serving.shelf import Shelf
from headrace.serving.trials import OpenTrial
from headrace.store import Store

RADIUS_FILE = "radius.json"


class Live:
    """Keeps an engine's bank and a memory's reach equal to the newest releases and trials of a store."""

    def __init__(
        self, store: Store, recipe: Recipe, memory: Memory, swap: Callable[[Bank], None], *, threads: int
    ) -> None:
        self._store, self._recipe, self._memory, self._swap = store, recipe, memory, swap
        limit = recipe.serve.memory << 20
        self._bank = Bank(shelf=Shelf(limit=limit, threads=threads, folder=store.artifacts.folder))
        self._version = 0
        self._reaching: dict[str, str] = {}

    @property
    def ready(self) -> bool:
        """Whether anything serves."""
        return bool(self._bank.router.own)

    def reload(self) -> None:
        """Read the releases since the last time and the open trials, and serve by them.

        Raises ArtifactError, and serves as before, where an adapter that is to serve is damaged.
        """
        history = self._store.history
        version = history.version()
        # At first what serves is enough; later what is new: of a thousand channels one has changed.
        newest = history.since(self._version) if self._version else history.current()
        releases = [release for release in newest if self._has_labels(release.task)]
        trials = [OpenTrial.of(trial) for trial in self._store.trials.list(open_only=True)]
        named = {release.adapter for release in releases} | {trial.challenger for trial in trials}
        files, path = history.files_of(named - self._bank.sources.keys()), self._store.artifacts.path
        tried = {name: self._bank.sources[name] for name in named & self._bank.sources.keys()}
        bank = self._bank.after(releases, files, path).trying(trials, tried, files, path)
        self._bank, self._version = bank, version
        for task, adapter in _heads_of_tasks(bank.router).items():
            self._set_reach(task, bank.sources[adapter].digests.get(RADIUS_FILE))
        self._swap(bank)

    def _has_labels(self, task: str) -> bool:
        """Whether its adapters answer with labels; those that find passages are the searcher's."""
        found = self._recipe.tasks.get(task)
        return found is None or found.kind == "classify"

    def _set_reach(self, task: str, digest: str | None) -> None:
        """Tell the memory how far corrections of a task reach: the recipe's word, or the adapter's."""
        fixed = self._recipe.memory.radius
        if fixed is not None:
            self._memory.set_reach(task, Fixed(fixed))
        elif digest is not None and self._reaching.get(task) != digest:
            self._memory.set_reach(task, Radius.from_json(json.loads(self._store.artifacts.get(digest))))
            self._reaching[task] = digest


def _heads_of_tasks(router: Router) -> dict[str, str]:
    """The adapter that stands for each task: the shared one, else that of the first channel by name."""
    found = {task: release.adapter for (task, _), release in sorted(router.own.items(), reverse=True)}
    return found | {task: release.adapter for task, release in router.shared.items()}
