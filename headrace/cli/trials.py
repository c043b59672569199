"""Challengers that prove themselves: see their trials, stop one, and judge the answers that were drawn."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Json, OnlyChannel, OnlyTask
from headrace.cli.output import say, show_json, show_rows
from headrace.cli.session import load, session

verbs = typer.Typer()
trial = typer.Typer(no_args_is_help=True)
audit = typer.Typer(no_args_is_help=True)
PANEL = "Learn"
Named = Annotated[str, typer.Argument(metavar="TRIAL", help="The trial's id, trl_...")]


@trial.command("list", cls=Verb)
def trial_list(
    ctx: typer.Context,
    task: OnlyTask = None,
    channel: OnlyChannel = None,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: Json = False,
) -> None:
    """List trials and watches: how they stand and how far it is.

    Example:

        headrace trial list
        headrace trial list --all --json
    """
    with session(ctx).project() as project:
        found = project.trials(task=task, channel=channel, ended=every)
    words = load("trial_words")
    if as_json:
        show_json([words.to_json(one) for one in found])
        return
    heads = ("channel", "trial", "stage", "rows#", "audits#", "evidence#", "how far")
    show_rows("Trials", heads, [words.row(one) for one in found], "No trial is open.")


@trial.command("show", cls=Verb)
def trial_show(ctx: typer.Context, name: Named, as_json: Json = False) -> None:
    """Tell how one trial stands, or how it ended.

    Example:

        headrace trial show trl_3f2c9a
    """
    with session(ctx).project() as project:
        found = project.trial(name)
    words = load("trial_words")
    if as_json:
        show_json(words.to_json(found))
        return
    for line in words.lines(found):
        say(line)


@trial.command("stop", cls=Verb)
def trial_stop(
    ctx: typer.Context,
    name: Named,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "no reason given.",
    as_json: Json = False,
) -> None:
    """End a trial or a watch by hand; what serves goes on.

    A turn does not bring the same challenger again.

    Example:

        headrace trial stop trl_3f2c9a --reason "its labels are about to change"
    """
    with session(ctx).project() as project:
        made = project.stop_trial(name, reason)
    if as_json:
        show_json(load("tables").to_json(made))
    else:
        say(f"Stopped: {made.champion} goes on for {made.task}/{made.channel}.")


@audit.command("list", cls=Verb)
def audit_list(
    ctx: typer.Context,
    task: OnlyTask = None,
    channel: OnlyChannel = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List answers that a coin drew, where two adapters differ.

    The two labels stand in the order of the alphabet: who judges should not know whose is whose.

    Example:

        headrace audit list
        headrace audit list --channel website --json
    """
    with session(ctx).project() as project:
        found = load("trial_words").waiting(project.audits(task=task, channel=channel, limit=limit))
    if as_json:
        show_json(found)
        return
    rows = [(f"{one['channel']}\n{one['task']}", one["text"], *one["labels"], one["answer"]) for one in found]
    show_rows("Audits", ("channel", "text", "one says", "the other", "answer"), rows, "No answer waits.")


@audit.command("label", cls=Verb)
def audit_label(
    ctx: typer.Context,
    answer: Annotated[str, typer.Argument(metavar="ANSWER", help="The answer's id, ans_...")],
    label: Annotated[
        str, typer.Argument(metavar="LABEL", help="The label that is right; it may be neither.")
    ],
    by: Annotated[str, typer.Option(help="Who says so.")] = "owner",
    as_json: Json = False,
) -> None:
    """Say what is right of an answer that was drawn; it counts at once.

    Example:

        headrace audit label ans_3f2c9a refund
    """
    with session(ctx).project() as project:
        said = project.audit(answer, label, by=by)
    if as_json:
        show_json({"answer": answer, "label": label, "by": by, "said": said})
        return
    for line in said:
        say(line)


verbs.add_typer(trial, name="trial", rich_help_panel=PANEL, help="Challengers that prove themselves online.")
verbs.add_typer(audit, name="audit", rich_help_panel=PANEL, help="Judge answers that were drawn for audit.")
