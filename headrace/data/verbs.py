"""The verbs of a project that are about golden rows: methods of `headrace.Project`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from headrace.data.connectors import Broken, Raw
from headrace.data.golden import Golden, add_golden, read_golden, remove_golden
from headrace.data.open_project import OpenProject
from headrace.records import Example


class Holds(OpenProject, Protocol):
    """What these verbs ask beside."""

    def _pair(self, task: str, channel: str) -> None: ...


class GoldenVerbs:
    """What the owner does with golden rows."""

    def add_golden(
        self: Holds,
        rows: Path | str | Iterable[Mapping[str, str]],
        task: str,
        channel: str,
        *,
        text: str | None = None,
        label: str | None = None,
        encoding: str = "auto",
    ) -> Golden:
        """Add rows of a file, or mappings with `text` and `label`, that challengers are held to; all or none.

        A row with the text of a golden one changes its label. Nothing trains on them: a training row that
        equals one leaves. `text` and `label` name columns of the file. Raises InputError, NotFound.
        """
        self._pair(task, channel)
        found: list[Raw | Broken]
        if isinstance(rows, Path | str):
            found = read_golden(Path(rows), text=text, label=label, encoding=encoding)
        else:
            found = [
                Raw(row.get("text", ""), row.get("label"), None, f"row {number}")
                for number, row in enumerate(rows, 1)
            ]
        return add_golden(
            self.store, self.recipe, found, task=task, channel=channel, clock=self.clock, ids=self.ids
        )

    def golden(self: Holds, *, task: str | None = None, channel: str | None = None) -> list[Example]:
        """Golden rows, in the order in which they came."""
        return self.store.examples.golden(task, channel)

    def remove_golden(self: Holds, ids: Sequence[str]) -> list[Example]:
        """Take golden rows out for good; raises NotFound where one is none."""
        return remove_golden(self.store, ids, clock=self.clock, ids=self.ids)
