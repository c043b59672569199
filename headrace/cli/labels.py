"""Labels changed in seconds: a new one, another name, several made one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Channel, Json, Task
from headrace.cli.output import say, show_grid, show_json
from headrace.cli.session import load, session, the_only, the_pair

if TYPE_CHECKING:
    from headrace.flywheel.labels.changes import Relabelled

PANEL = "Learn"
verbs = typer.Typer()
label = typer.Typer(no_args_is_help=True)


@label.command("add", cls=Verb)
def label_add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The new label.")],
    examples: Annotated[
        Path | None,
        typer.Option(exists=True, metavar="FILE", help="Texts of the label, a line each or a column."),
    ] = None,
    task: Task = None,
    channel: Channel = None,
    as_json: Json = False,
) -> None:
    """Add a label from ten examples or more and serve it, in under a minute.

    Without a file it is learned from rows that were collected with it. What serves goes on serving until then;
    every other label's weights stay as they are.

    Example:

        headrace label add invoice --examples ten.txt --channel website
        headrace label add warranty --examples ten.csv --channel website --json
    """
    with session(ctx).project() as project:
        if examples is None:
            pair = the_only("task", task, list(project.recipe.tasks)), channel
        else:
            pair = the_pair(project, task, channel)
        found = project.add_label(pair[0], name, examples or (), channel=pair[1])
    _tell(found, as_json)


@label.command("rename", cls=Verb)
def label_rename(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(help="The label as it is called now.")],
    new: Annotated[str, typer.Argument(help="Its new name.")],
    task: Task = None,
    as_json: Json = False,
) -> None:
    """Give a label another name; nothing is trained and no score changes.

    Rows of sources that go on saying the old name are understood.

    Example:

        headrace label rename invoice bill
        headrace label rename bill billing --task intent --json
    """
    with session(ctx).project() as project:
        found = project.rename_label(the_only("task", task, list(project.recipe.tasks)), old, new)
    _tell(found, as_json)


@label.command("merge", cls=Verb)
def label_merge(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="LABEL...", help="Labels to make one of.")],
    into: Annotated[str, typer.Option(help="The one that they become: one of them, or a new name.")],
    task: Task = None,
    as_json: Json = False,
) -> None:
    """Make one label of several; it is fitted on all their rows.

    Example:

        headrace label merge billing warranty --into paperwork
        headrace label merge refund paperwork --into refund --json
    """
    with session(ctx).project() as project:
        found = project.merge_labels(the_only("task", task, list(project.recipe.tasks)), names, into)
    _tell(found, as_json)


verbs.add_typer(label, name="label", rich_help_panel=PANEL, help="Add, rename and merge labels.")


def _tell(found: Relabelled, as_json: bool) -> None:
    tables = load("tables")
    if as_json:
        show_json(
            {
                **found.change.evidence,
                "task": found.change.task,
                "examples": found.examples,
                "given": found.given,
                "taken": found.taken,
                "corrections": found.corrections,
                "seconds": round(found.seconds, 3),
                "pairs": [tables.pair_json(pair) for pair in found.pairs],
                "cure": found.cure or None,
            }
        )
        return
    say(found.told)
    if found.pairs:
        show_grid(tables.pairs(found.pairs))
        for sentence in tables.sentences(found.pairs):
            say(sentence)
    else:
        say("No adapter that serves had to change.")
    if found.cure:
        say(found.cure)
    say(f"{found.seconds:.1f} seconds.")
