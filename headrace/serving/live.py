"""What the store says serves -> what serves in this process; `reload` follows a release or a rollback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from headrace.feedback.memory import Memory
from headrace.feedback.radius import Fixed, Radius, Reach
from headrace.recipe import Recipe
from headrace.records import Adapter, Release
from headrace.serving.bank import Bank
from headrace.serving.loader import load_bank
from headrace.store import Store

RADIUS_FILE = "radius.json"


class Live:
    """Keeps an engine's bank and a memory's reach equal to the newest releases of a store."""

    def __init__(
        self, store: Store, recipe: Recipe, memory: Memory, swap: Callable[[Bank], None], *, threads: int = 1
    ) -> None:
        self._store, self._recipe, self._memory, self._swap = store, recipe, memory, swap
        self._threads = threads
        self._bank = Bank()

    @property
    def ready(self) -> bool:
        """Whether anything serves."""
        return bool(self._bank.adapters)

    def reload(self) -> None:
        """Read the newest releases and serve by them; what was open stays open. Raises ArtifactError."""
        history = self._store.history
        releases = history.serving()
        adapters = {name: history.adapter(name) for name in {release.adapter for release in releases}}
        self._bank = load_bank(
            releases, adapters.values(), self._store.artifacts.path, self._bank, threads=self._threads
        )
        for task, reach in self._reaches(releases, adapters).items():
            self._memory.set_reach(task, reach)
        self._swap(self._bank)

    def _reaches(
        self, releases: Iterable[Release], adapters: Mapping[str, Adapter]
    ) -> dict[str, Reach | None]:
        """How far corrections of each task reach: the recipe's word, else what its adapter learned."""
        fixed = self._recipe.memory.radius
        found: dict[str, Reach | None] = {}
        for release in releases:
            adapter = adapters[release.adapter]
            if fixed is not None:
                found[release.task] = Fixed(fixed)
            elif RADIUS_FILE in adapter.files and (adapter.channel is None or release.task not in found):
                found[release.task] = self._radius(adapter)
        return found

    def _radius(self, adapter: Adapter) -> Radius:
        return Radius.from_json(json.loads(self._store.artifacts.get(adapter.files[RADIUS_FILE])))
