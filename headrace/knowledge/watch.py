"""Which sources of documents changed since the last look, by the stamps of their files; nothing is read."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from headrace.errors import HeadraceError
from headrace.knowledge.formats import Watched
from headrace.knowledge.sync import part_of
from headrace.recipe import Recipe
from headrace.records import Clock


class Watch:
    """Looks at a recipe's sources again and again; cheap enough for every few seconds.

    A source that has no files, such as a site, is due every `hours` of its options, a day where it has none.
    """

    def __init__(self, folder: Path, recipe: Recipe, clock: Clock) -> None:
        self._folder, self._recipe, self._clock = folder, recipe, clock
        self._stamps: dict[str, str] = {}
        self._due: dict[str, datetime] = {}

    def changed(self) -> tuple[str, ...]:
        """The sources to read again, all of them at the first look."""
        return tuple(name for name in self._recipe.knowledge if self._is_due(name))

    def _is_due(self, name: str) -> bool:
        source = self._recipe.knowledge[name]
        try:
            part = part_of(source, self._folder)
        except HeadraceError as error:
            # Said once by the reading that this asks for, and again when it is another.
            stamp = error.message
        else:
            stamp = part.stamp() if isinstance(part, Watched) else ""
            if not isinstance(part, Watched) and self._due.get(name, self._clock()) <= self._clock():
                self._due[name] = self._clock() + timedelta(hours=float(source.options.get("hours", 24)))
                return True
        before = self._stamps.get(name)
        self._stamps[name] = stamp
        return before != stamp
