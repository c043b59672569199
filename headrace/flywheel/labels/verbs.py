"""The verbs of a project that change labels: methods of `headrace.Project`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from headrace.data.connectors import Broken, Raw
from headrace.data.connectors.files import Options, Part
from headrace.data.open_project import OpenProject
from headrace.errors import Conflict, InputError
from headrace.feedback.record import known_label
from headrace.flywheel.labels.changes import Labels, Relabelled
from headrace.recipe import RECIPE
from headrace.records import Row


class Holds(OpenProject, Protocol):
    """What these verbs ask beside."""

    @property
    def relabelling(self) -> Labels:
        """What changes its labels."""
        ...

    def labels(self, task: str) -> tuple[str, ...]:
        """The labels that a task has."""
        ...


class LabelVerbs:
    """What a project's owner does with the labels of a task, in seconds."""

    @property
    def relabelling(self: Holds) -> Labels:
        """What changes labels."""
        path = self.folder / RECIPE
        return Labels(self.store, path, clock=self.clock, ids=self.ids, progress=self.progress)

    def add_label(
        self: Holds, task: str, label: str, examples: Path | Sequence[str] = (), *, channel: str | None = None
    ) -> Relabelled:
        """A new label, learned from `examples` of a channel, texts or a file of them, and from rows of it.

        Ten are enough. Raises Conflict where it is a label already, InputError, MissingExtra.
        """
        texts = texts_of(examples) if isinstance(examples, Path) else examples
        with _read_anew(self):
            return self.relabelling.add(task, label, texts, channel=channel)

    def rename_label(self: Holds, task: str, old: str, new: str) -> Relabelled:
        """Another name for a label; no score changes. Raises NotFound, Conflict where `new` is one already."""
        with _read_anew(self):
            return self.relabelling.rename(task, old, new)

    def merge_labels(self: Holds, task: str, labels: Sequence[str], into: str) -> Relabelled:
        """Several labels made one. Raises NotFound, Conflict, InputError, MissingExtra."""
        with _read_anew(self):
            return self.relabelling.merge(task, labels, into)

    def unlabelled(
        self: Holds, *, task: str | None = None, channel: str | None = None, limit: int = 200
    ) -> list[Row]:
        """Rows that came without a label, in the order in which they came."""
        return self.store.rows.unlabelled(task, channel, limit)

    def label_row(self: Holds, row_id: str, label: str) -> Row:
        """Give an unlabelled row its label; the next turn takes it in, or says why not.

        Raises NotFound, InputError where the task has no such label, Conflict where it has one already.
        """
        row = self.store.rows.get(row_id)
        found = known_label(label, self.labels(row.task))
        if not self.store.rows.label(row_id, found):
            raise Conflict("the row has its label already.", where=row_id, cure="Load the list again.")
        return self.store.rows.get(row_id)


@contextmanager
def _read_anew(project: Holds) -> Iterator[None]:
    """Afterwards the recipe, and what the project made of it, are read anew when they are asked for."""
    try:
        yield
    finally:
        for name in ("recipe", "flywheel", "_answerer"):
            project.__dict__.pop(name, None)


def texts_of(file: Path) -> list[str]:
    """The texts of a file: a line each, or a column of a table. Raises InputError where a row is none."""
    found = list(Part(Options(path=str(file.resolve())), Path.cwd()).read(None))
    for item in found:
        if isinstance(item, Broken):
            raise InputError(
                f"{item.reason}: {item.detail}.", where=item.place, cure="Correct it or take it out."
            )
    return [item.text for item in found if isinstance(item, Raw) and item.text.strip()]
