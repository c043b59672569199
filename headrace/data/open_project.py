"""An open project, as the packages below see it whose verbs it inherits."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from headrace.data.progress import Progress
from headrace.recipe import Recipe
from headrace.records import Clock, IdMaker
from headrace.store import Store


class OpenProject(Protocol):
    """What every group of verbs may ask of the project; a group that asks more says so in a class of its own."""

    folder: Path
    clock: Clock
    ids: IdMaker
    progress: Progress | None

    @property
    def recipe(self) -> Recipe:
        """The project's recipe."""
        ...

    @property
    def store(self) -> Store:
        """The project's store."""
        ...
