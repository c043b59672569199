"""The labels of a task in headrace.yaml, edited where the file lists them; comments stay where they stand."""

from __future__ import annotations

import io
from collections.abc import Callable, MutableSequence
from pathlib import Path

from ruamel.yaml import YAML

from headrace.recipe.reading import parse, read, write

Listed = MutableSequence[str]


def add_label(path: Path, task: str, label: str) -> bool:
    """List `label` too; says whether the file changed. Raises what `recipe.edit` raises."""

    def added(labels: Listed) -> None:
        if label not in labels:
            labels.append(label)

    return _edit(path, task, added)


def replace_labels(path: Path, task: str, old: tuple[str, ...], new: str) -> bool:
    """List `new` where the first of `old` stands, and the others no more; says whether the file changed."""

    def replaced(labels: Listed) -> None:
        places = [i for i, label in enumerate(labels) if label in (*old, new)]
        if places:
            labels[places[0]] = new
        for place in reversed(places[1:]):
            del labels[place]

    return _edit(path, task, replaced)


def _edit(path: Path, task: str, change: Callable[[Listed], None]) -> bool:
    """A file whose task lists no labels stays as it is: whatever its rows say is a label there."""
    read(path).task(task)
    yaml = YAML()
    yaml.preserve_quotes = True
    tree = yaml.load(path.read_text(encoding="utf-8"))
    listed = (tree["tasks"][task] or {}).get("labels")
    if not listed:
        return False
    before = list(listed)
    change(listed)
    if list(listed) == before:
        return False
    out = io.StringIO()
    yaml.dump(tree, out)
    parse(out.getvalue(), where=str(path))
    write(path, out.getvalue())
    return True
