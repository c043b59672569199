"""Look and keep: the circle, the past, one step back, and copies."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated

import typer

import headrace
from headrace.cli.group import Verb
from headrace.cli.options import Channel, Json, OnlyChannel, OnlyTask, Task
from headrace.cli.output import say, show_grid, show_json
from headrace.cli.session import load, session, the_pair
from headrace.errors import Conflict, InputError, StoreError

PANEL = "Look and keep"
_SECONDS = "%Y-%m-%d %H:%M:%S"
verbs = typer.Typer()


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def status(
    ctx: typer.Context,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, metavar="FILE", help="Write the last turn's page too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the circle: what came in, what serves, how good, what turned.

    Below it what the last turn did and when the next is due; all of it with --json or --html.

    Example:

        headrace status
        headrace status --html turn.html
        headrace status --json
    """
    with session(ctx).project() as project:
        found, turns = project.status(), project.turns()
        if html is not None:
            html.write_text(load("pages").last_turn(found, turns.last), encoding="utf-8")
    tables = load("tables")
    if as_json:
        pairs = [tables.status_json(pair) for pair in found]
        show_json({"pairs": pairs, "turns": tables.turns_json(turns)})
        return
    if found:
        show_grid(tables.status(found))
    else:
        say("The recipe has no channels yet. Run: headrace channel add NAME --task TASK")
    for line in tables.turns_lines(turns):
        say(line)
    if html is not None:
        say(f"The page is {html}.")


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def history(
    ctx: typer.Context,
    task: OnlyTask = None,
    channel: OnlyChannel = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="What served at this moment, and nothing else: 2026-03-01T12:00, in UTC."
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Say in one line whether the past is as it was; exit code 4 if not."),
    ] = False,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="LINK", help="With --verify: a newest link of earlier, which must still be there."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell the past: releases, refusals, rollbacks and turns.

    With a moment only what served whom then, since when, by which evidence, trained from which rows.

    Example:

        headrace history
        headrace history --task intent --at 2026-03-01
        headrace history --at 2026-03-01T10:00 --json
        headrace history --verify
    """
    if verify or head is not None:
        _verify(ctx, head, as_json)
        return
    if at is not None:
        _served(ctx, task, channel, moment_of(at), as_json)
        return
    with session(ctx).project() as project:
        lines = project.history(task=task, channel=channel)
    if as_json:
        show_json([line.to_json() for line in lines])
        return
    for line in lines:
        pair = "/".join(part for part in (line.task, line.channel) if part)
        said = (f"{line.at:{_SECONDS}}", f"{line.kind:<8}", pair, line.message)
        say("  ".join(part for part in said if part))
    if not lines:
        say("Nothing has happened yet.")


def _served(ctx: typer.Context, task: str | None, channel: str | None, at: datetime, as_json: bool) -> None:
    with session(ctx).project() as project:
        served = project.served(task=task, channel=channel, at=at)
    if as_json:
        show_json({"at": at.isoformat(), "served": [one.to_json() for one in served]})
        return
    say(f"Served at {at:{_SECONDS}} UTC:" if served else f"Nothing served at {at:{_SECONDS}} UTC.")
    for one in served:
        taught = one.taught.sentence if one.taught else "its list of rows is not there"
        own = "its own" if one.own else "shared"
        say(f"  {one.task}/{one.channel}  {one.adapter} ({own}) since {one.since:{_SECONDS}}, {taught}.")
        say(f"    {one.evidence}")
    if served and served[0].set_back is not None:
        say(
            f"The clock was set back: it had said {served[0].set_back:{_SECONDS}} before, so this moment came"
            " more than once. The above served when it came for the last time."
        )


def _verify(ctx: typer.Context, head: str | None, as_json: bool) -> None:
    with session(ctx).project() as project:
        found = project.verify_history(head)
    if as_json:
        show_json(found.to_json())
    else:
        say(found.sentence)
    if not found.whole:
        raise typer.Exit(StoreError.exit_code)


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def rollback(
    ctx: typer.Context,
    task: Task = None,
    channel: Channel = None,
    to: Annotated[
        str | None, typer.Option(help="A release or adapter that served before; the last one if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let the adapter before the present one serve again.

    A running server follows within a second.

    Example:

        headrace rollback --task intent --channel website
        headrace rollback --task intent --channel website --to rel_3f2c9a
    """
    with session(ctx).project() as project:
        made = project.rollback(*the_pair(project, task, channel), to=to)
    if as_json:
        show_json(load("tables").to_json(made))
    else:
        say(f"Rolled back: {made.adapter} serves {made.task}/{made.channel} again.")


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def backup(
    ctx: typer.Context,
    to: Annotated[
        Path, typer.Argument(metavar="FILE", dir_okay=False, help="The file to write, for example shop.tar.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write recipe, store and adapters to one file.

    Others may go on writing meanwhile.

    Example:

        headrace backup shop.tar
    """
    if to.exists() and not force:
        raise Conflict(
            "the file is there already.", where=str(to), cure="Choose another name, or add --force."
        )
    with session(ctx).project() as project:
        size = project.backup(to, over=force)
    say(f"Wrote {to}, {size / 1e6:,.1f} MB. Take it back with: headrace restore {to} --project DIR")


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def restore(
    ctx: typer.Context,
    backup: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file that backup wrote.")],
) -> None:
    """Make a project from a backup, in a folder that has none.

    Example:

        headrace restore shop.tar --project shop-restored
    """
    project = headrace.Project.restore(backup, session(ctx).folder)
    try:
        pairs = len(project.store.history.serving())
    finally:
        project.close()
    say(f"Restored {project.folder}: {pairs} of its tasks and channels are served. Next: headrace doctor")


def moment_of(text: str) -> datetime:
    """A moment in UTC; a date alone is its end. Raises InputError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{text!r} is no time.", field="at", cure="Write 2026-03-01 or 2026-03-01T12:00."
        ) from None
    if len(text) == len("2026-03-01"):
        moment = datetime.combine(moment.date(), time.max)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
