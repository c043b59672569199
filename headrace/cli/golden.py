"""Golden rows: the owner adds, lists and removes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Channel, Json, OnlyChannel, OnlyTask, Task
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session, the_pair

PANEL = "Rows"
verbs = typer.Typer()
golden = typer.Typer(no_args_is_help=True)


@golden.command("add", cls=Verb)
def golden_add(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, help="Rows with a text and a label: csv, jsonl, ..."),
    ],
    task: Task = None,
    channel: Channel = None,
    text: Annotated[str | None, typer.Option(metavar="COLUMN", help="The text's column.")] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="The label's column.")] = None,
    encoding: Annotated[str, typer.Option(help="The file's encoding.")] = "auto",
    as_json: Json = False,
) -> None:
    """Add rows that every challenger is held to and nothing trains on.

    All of the file is added, or nothing. A row with the text of a golden one changes its label. A training
    row that equals one leaves training.

    Example:

        headrace golden add golden.csv --task intent --channel website
        headrace golden add golden.jsonl --channel website --text question --label topic --json
    """
    with session(ctx).project() as project:
        pair = the_pair(project, task, channel)
        found = project.add_golden(file, *pair, text=text, label=label, encoding=encoding)
    if as_json:
        show_json(load("tables").to_json(found))
        return
    say(f"Golden rows: {found.added:,} added, {found.changed:,} changed, {found.known:,} known already.")
    if found.left:
        say(f"{found.left:,} examples with the same text are examples no more; they are in quarantine.")


@golden.command("list", cls=Verb)
def golden_list(
    ctx: typer.Context, task: OnlyTask = None, channel: OnlyChannel = None, as_json: Json = False
) -> None:
    """List golden rows in the order in which they came.

    Example:

        headrace golden list
        headrace golden list --channel website --json
    """
    with session(ctx).project() as project:
        found = project.golden(task=task, channel=channel)
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [(one.id, f"{one.channel}\n{one.task}", one.label, one.text) for one in found]
    show_rows("Golden rows", ("id", "channel", "label", "text"), rows, "There are no golden rows yet.")


@golden.command("remove", cls=Verb)
def golden_remove(
    ctx: typer.Context,
    rows: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids from golden list.")],
) -> None:
    """Remove golden rows for good.

    What left training because of them stays in quarantine, from where it can be taken back.

    Example:

        headrace golden remove row_3f2c9a
    """
    with session(ctx).project() as project:
        found = project.remove_golden(rows)
    say(f"Golden rows removed: {len(found):,}.")
    note("Rows that equalled them: headrace quarantine list --reason 'equals a test row'")


verbs.add_typer(
    golden, name="golden", rich_help_panel=PANEL, help="Rows that only the owner adds, to judge by."
)
