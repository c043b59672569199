"""What every verb needs: the project, and the task and channel meant where they were left out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

import headrace
from headrace.channels.keys import PREFIX
from headrace.cli.progress import Progress
from headrace.errors import InputError, RecipeError

if TYPE_CHECKING:
    from headrace.project import Project

RECIPE = "headrace.yaml"


@dataclass(frozen=True)
class Session:
    """One call of the command line."""

    folder: Path
    debug: bool = False

    @contextmanager
    def project(self) -> Iterator[Project]:
        """The project, closed at the end; long work of its shows how far it is."""
        refuse_key_in_recipe(self.folder / RECIPE)
        with Progress(sys.stderr) as progress:
            project = headrace.Project(self.folder, progress=progress)
            try:
                yield project
            finally:
                project.close()


def session(ctx: typer.Context) -> Session:
    """The session of a verb's context."""
    found: Session = ctx.obj
    return found


def load(name: str) -> Any:
    """A module of this package that imports heavy ones, at the moment it is needed."""
    return importlib.import_module(f"headrace.cli.{name}")


def the_only(noun: str, given: str | None, known: Sequence[str]) -> str:
    """`given`, or the only one there is; raises InputError where there are several or none."""
    if given is not None:
        return given
    if len(known) == 1:
        return known[0]
    if not known:
        raise InputError(f"the project has no {noun} yet.", where=RECIPE, cure=f"Add one under {noun}s.")
    raise InputError(
        f"the project has {len(known)} {noun}s.", field=noun, cure=f"Name one: {', '.join(known)}."
    )


def the_pair(project: Project, task: str | None, channel: str | None) -> tuple[str, str]:
    """The (task, channel) meant: what was not said is taken from the other, where it can only be one."""
    recipe = project.recipe
    if task is None and channel is not None:
        return the_only("task", None, recipe.channel(channel).tasks), channel
    task = the_only("task", task, list(recipe.tasks))
    recipe.task(task)
    return task, the_only("channel", channel, recipe.channels_of(task))


def refuse_key_in_recipe(path: Path) -> None:
    """Raise RecipeError where a key stands in the recipe, without repeating it."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [number for number, line in enumerate(lines, start=1) if PREFIX in line]
    if found:
        said = "a key of Headrace stands here. Keys do not belong into the recipe: take it out and revoke it."
        raise RecipeError([f"line {number}: {said}" for number in found], where=str(path))
