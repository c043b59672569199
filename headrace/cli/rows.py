"""Rows come in and are cleaned; what was rejected waits in quarantine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.complete import sources as source_names
from headrace.cli.group import Verb
from headrace.cli.options import Channel, Json, OnlyChannel, OnlyTask, Task
from headrace.cli.output import note, say, show_grid, show_json, show_rows
from headrace.cli.session import load, session, the_pair
from headrace.errors import Conflict, InputError

if TYPE_CHECKING:
    from headrace.project import Project

PANEL = "Rows"
SHOWN = 60  # characters of a text in a table
verbs = typer.Typer()
quarantine = typer.Typer(no_args_is_help=True)


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def collect(
    ctx: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...", autocompletion=source_names, help="Sources of the recipe; all if left out."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, help="A file or folder that is in no recipe, read this once."),
    ] = None,
    channel: Channel = None,
    task: Task = None,
    text: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="With --file: the text's column.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="With --file: the label's column.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="With --file: its encoding.")] = "auto",
    as_json: Json = False,
) -> None:
    """Read sources and store what is new, private details masked.

    What is there already adds nothing, so it may be run at any time.

    Example:

        headrace collect
        headrace collect tickets --json
        headrace collect --file reviews.csv --channel website --task intent --text body --label topic
    """
    if file is None and any((channel, task, text, label)):
        raise InputError(
            "--channel, --task, --text and --label speak of a file.", cure="Add --file, or leave them out."
        )
    with session(ctx).project() as project:
        chosen = sources or None
        if file is not None:
            if sources:
                raise InputError("a SOURCE and --file were both given.", cure="Leave one of them out.")
            options = {"path": str(file.resolve()), "text": text, "label": label, "encoding": encoding}
            chosen = [_lend(project, file, the_pair(project, task, channel), options)]
        began = project.clock()
        found = project.collect(chosen)
        most = found.total.broken + found.total.repeated
        rejected = [one for one in project.quarantine(limit=most or 1) if one.at >= began]
    tables = load("tables")
    if as_json:
        show_json(tables.collected_json(found, rejected))
    elif found.sources:
        show_grid(tables.collected(found, rejected))
        say("Next: headrace clean" if found.total.new else "Nothing new.")
    else:
        say("The recipe has no sources yet. Add one under sources, or collect a --file.")


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def clean(ctx: typer.Context, as_json: Json = False) -> None:
    """Make examples of new rows, or reject them with the reason.

    Example:

        headrace clean
        headrace clean --json
    """
    with session(ctx).project() as project:
        found = project.clean()
    tables = load("tables")
    if as_json:
        show_json(tables.to_json(found))
        return
    say(f"{found.read:,} new rows: {found.examples:,} became examples, {found.unlabelled:,} have no label.")
    if found.near_duplicates:
        say(f"{found.near_duplicates:,} of the examples are near-duplicates, in the split of their first.")
    if found.removed:
        say(f"{found.removed:,} examples of earlier runs were taken out again.")
    if found.rejected:
        say(f"Rejected: {tables.pieces(found.rejected)}. See: headrace quarantine list")


@quarantine.command("list", cls=Verb)
def quarantine_list(
    ctx: typer.Context,
    task: OnlyTask = None,
    channel: OnlyChannel = None,
    reason: Annotated[str | None, typer.Option(help="Only this reason, for example duplicate.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows at most, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """List rejected rows with their reasons, newest first.

    Example:

        headrace quarantine list
        headrace quarantine list --reason duplicate --limit 20 --json
    """
    with session(ctx).project() as project:
        found = project.quarantine(task=task, channel=channel, reason=reason, limit=limit)
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [
        (one.id, f"{one.channel}\n{one.task}", f"{one.reason}\n{one.detail}", one.place, _short(one.content))
        for one in found
    ]
    heads = ("id", "channel", "reason", "place", "content")
    show_rows("Quarantine", heads, rows, "Nothing is in quarantine.")


@quarantine.command("restore", cls=Verb)
def quarantine_restore(
    ctx: typer.Context,
    rejected: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids from quarantine list.")],
    text: Annotated[str | None, typer.Option(help="Another text in place of what came in.")] = None,
    label: Annotated[str | None, typer.Option(help="Another label.")] = None,
) -> None:
    """Take rejected rows back, corrected where a text or label is given.

    Example:

        headrace quarantine restore q_3f2c9a --label refund
    """
    if text is not None and len(rejected) > 1:
        raise InputError("--text was given for several rows.", field="text", cure="Restore them one by one.")
    with session(ctx).project() as project:
        for one in rejected:
            restored: Any = project.restore_row(one, text=text, label=label)
            say(f"Restored {one} as {restored.id}.")
    note("It counts from the next turn on.")


verbs.add_typer(
    quarantine, name="quarantine", rich_help_panel=PANEL, help="Rejected rows: list them, take them back."
)


def _lend(project: Project, file: Path, pair: tuple[str, str], options: dict[str, Any]) -> str:
    """Let the recipe in memory have one source more; headrace.yaml stays as it is. Gives its name."""
    recipe = project.recipe
    name = re.sub(r"[^a-z0-9._-]+", "-", file.name.split(".")[0].lower()).strip("._-")[:60] or "file"
    if name in recipe.sources:
        raise Conflict(
            f"the recipe has a source {name!r}.", where=str(file), cure=f"Run: headrace collect {name}"
        )
    kept = {key: value for key, value in options.items() if value is not None}
    source = load("sources").lent(*pair, kept)
    project.recipe = recipe.model_copy(update={"sources": {**recipe.sources, name: source}})
    return name


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= SHOWN else f"{one_line[: SHOWN - 1]}…"
