"""Learn and release: train, judge, pass the gate, or all of it in one turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.complete import channels as channel_names
from headrace.cli.group import Verb
from headrace.cli.options import AdapterArgument, Json, OnlyChannels, OnlyTask, TaskArgument
from headrace.cli.output import say, show_grid, show_json
from headrace.cli.session import load, session, the_only
from headrace.errors import NotFound

if TYPE_CHECKING:
    from headrace.project import Project
    from headrace.records import Adapter

PANEL = "Learn"
verbs = typer.Typer()


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def train(
    ctx: typer.Context,
    task: TaskArgument = None,
    channel: Annotated[
        str | None,
        typer.Option(
            "--channel",
            "-c",
            autocompletion=channel_names,
            help="Train this channel's own adapter, from the shared one.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="In place of the recipe's.")] = None,
    as_json: Json = False,
) -> None:
    """Train a task's shared adapter, or a channel's own.

    The same examples, recipe and seed give the adapter that is there already.

    Example:

        headrace train intent
        headrace train intent --channel website
    """
    with session(ctx).project() as project:
        adapter = project.train(the_only("task", task, list(project.recipe.tasks)), channel, seed=seed)
    if as_json:
        show_json(load("tables").adapter_json(adapter))
        return
    whose = f"{adapter.channel}'s own" if adapter.channel else "shared"
    say(f"Trained {adapter.id}: {adapter.task}, {whose}, {len(adapter.labels)} labels.")
    say(f"  {adapter.size / 1024:,.0f} KB in {adapter.seconds:.1f} s{_validation(adapter)}")
    notes: Any = adapter.lineage.get("notes", ())
    for line in notes:
        say(f"  {line}")
    say(f"Next: headrace evaluate {adapter.id}")


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def evaluate(
    ctx: typer.Context,
    adapter: AdapterArgument = None,
    task: OnlyTask = None,
    channels: OnlyChannels = None,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, metavar="FILE", help="Write a page with plots too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge an adapter on the held-out rows of its channels.

    Example:

        headrace evaluate
        headrace evaluate --channel website --html evaluation.html
        headrace evaluate --task intent --json
    """
    with session(ctx).project() as project:
        found = _adapter(project, adapter, task)
        judged = project.evaluate(found, channels)
        if html is not None:
            html.write_text(load("pages").evaluation(judged, project.clock()), encoding="utf-8")
    tables = load("tables")
    if as_json:
        show_json(tables.judged_json(found, judged))
        return
    say(f"{found.id}, {found.task}, {'own of ' + found.channel if found.channel else 'shared'}")
    for grid in tables.judged(judged):
        say("")
        show_grid(grid)
    say("")
    say(f"The page is {html}." if html else f"Next: headrace release {found.id}")


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def release(
    ctx: typer.Context,
    adapter: AdapterArgument = None,
    task: OnlyTask = None,
    channels: OnlyChannels = None,
    as_json: Json = False,
) -> None:
    """Pass an adapter through the gate; a refusal says why.

    Where the gate refuses, what serves goes on serving.

    Example:

        headrace release
        headrace release --task intent --channel website
    """
    with session(ctx).project() as project:
        found = project.release(_adapter(project, adapter, task), channels)
    if as_json:
        show_json([load("tables").pair_json(one) for one in found])
    else:
        _decided(found)


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def turn(
    ctx: typer.Context,
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, metavar="FILE", help="Write a page with plots too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn the flywheel once: feedback, training, judging, release.

    A turn that was killed is continued; one at a time runs in a project.

    Example:

        headrace turn
        headrace turn --json
    """
    with session(ctx).project() as project:
        began = project.clock()
        made = project.turn()
        if html is not None:
            page = load("pages").turn(made, project.status(), began, project.clock())
            html.write_text(page, encoding="utf-8")
    tables = load("tables")
    if as_json:
        show_json(tables.turn_json(made))
        return
    absorbed = tables.pieces({name: n for name, n in tables.to_json(made.absorbed).items() if _is_count(n)})
    say(f"Feedback: {absorbed or 'nothing new'}.")
    say(f"Rows: {made.cleaned.read:,} new, {made.cleaned.examples:,} examples.")
    _decided(made.pairs)
    if made.report is not None:
        for one in (*made.report.rolled_back, *made.report.drifted):
            say(one.sentence)
        say(f"In all: {made.report.sentence}")
    if html is not None:
        say(f"The page is {html}.")


def _adapter(project: Project, wanted: str | None, task: str | None) -> Adapter:
    """The adapter with this id or its beginning; else the newest one that the gate has not refused."""
    if wanted is not None:
        return project.adapter(wanted)
    if task is not None:
        project.recipe.task(task)
    found = project.store.history.adapters(task)
    if not found:
        raise NotFound("there is no adapter yet.", cure="Run: headrace train")
    events = project.store.history.events(task)
    refused = {event.evidence.get("adapter") for event in events if event.kind == "refused"}
    return next((adapter for adapter in found if adapter.id not in refused), found[0])


def _decided(found: Sequence[Any]) -> None:
    tables = load("tables")
    show_grid(tables.pairs(found))
    for sentence in tables.sentences(found):
        say(sentence)


def _validation(adapter: Adapter) -> str:
    share = adapter.lineage.get("validation")
    return f", {100 * share:.1f} % right on validation rows" if isinstance(share, float) and share else ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
