"""Feedback in the terminal: add it, list it, undo it, and judge what is held."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Json, OnlyChannel, OnlyTask
from headrace.cli.output import say, show_json, show_rows
from headrace.cli.session import load, session
from headrace.errors import InputError
from headrace.records import COUNTING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.records import Feedback

verbs = typer.Typer(no_args_is_help=True)
Names = Annotated[list[str], typer.Argument(metavar="FEEDBACK...", help="Ids of feedback, fb_...")]


class Said(enum.StrEnum):
    """What a user may say of an answer."""

    right = "right"
    wrong = "wrong"
    correction = "correction"


@verbs.command("add", cls=Verb)
def add(
    ctx: typer.Context,
    answer: Annotated[str, typer.Argument(help="The answer's id, ans_...")],
    verdict: Annotated[
        Said | None, typer.Option(help="What the user said; a correction where there is a label.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The right label.")] = None,
    person: Annotated[
        str | None,
        typer.Option(help="Who said it: an id of yours, not a name. Left out, it is your own word."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a user thought of an answer.

    A correction counts at once, and is learned at the next turn. Your own word always counts; of a person's
    there may be too many, or others may say otherwise: then it is held for you to judge.

    Example:

        headrace feedback add ans_3f2c9a --label refund
        headrace feedback add ans_3f2c9a --verdict right
        headrace feedback add ans_3f2c9a --label refund --person user-17
    """
    if verdict is None and label is None:
        raise InputError(
            "nothing was said of the answer.", cure="Give --verdict right or wrong, or --label LABEL."
        )
    said: Any = str(verdict) if verdict is not None else "correction"
    with session(ctx).project() as project:
        made = project.add_feedback(answer, said, label, person=person)
    if as_json:
        show_json(load("tables").to_json(made))
    else:
        right = f", {made.label}" if made.label else ""
        then = f"It is held: {made.reason}." if made.state == "held" else "It waits for the next turn."
        say(f"Kept {made.id}: {made.verdict}{right}. {then}")


@verbs.command("list", cls=Verb)
def list_(
    ctx: typer.Context,
    task: OnlyTask = None,
    channel: OnlyChannel = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what the next turn will learn.")] = False,
    held: Annotated[bool, typer.Option("--held", help="Only what is held, for you to judge.")] = False,
    as_json: Json = False,
) -> None:
    """List feedback in the order in which it came, and whether it counts.

    Example:

        headrace feedback list --waiting
        headrace feedback list --held
        headrace feedback list --channel website --json
    """
    state: Any = "held" if held else "counts" if waiting else None
    with session(ctx).project() as project:
        found = project.feedback(task=task, channel=channel, used=False if waiting else None, state=state)
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [
        (one.id, f"{one.channel}\n{one.task}", one.text, one.verdict, one.label or "", _state(one))
        for one in found
    ]
    heads = ("feedback", "channel", "text", "verdict", "label", "state")
    none = "No feedback is held." if held else "No feedback waits." if waiting else "No feedback yet."
    show_rows("Feedback", heads, rows, none)


@verbs.command("undo", cls=Verb)
def undo(
    ctx: typer.Context,
    feedback: Annotated[
        list[str] | None, typer.Argument(metavar="FEEDBACK...", help="Ids of feedback, fb_...")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(help="All of this person: the channel's id of them, or person_... as listed."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let feedback count no more, one by one or all of a person's.

    Answers are what they were without it, in a running server within a second. At the next turn the examples
    that it made or changed go back to what they were.

    Example:

        headrace feedback undo fb_3f2c9a
        headrace feedback undo --person user-17
    """
    with session(ctx).project() as project:
        found = project.undo_feedback(*(feedback or []), person=person)
    _tell(found, "Undone", as_json)


@verbs.command("accept", cls=Verb)
def accept(ctx: typer.Context, feedback: Names, as_json: Json = False) -> None:
    """Let held feedback count, as if you had said it.

    Example:

        headrace feedback accept fb_3f2c9a
    """
    with session(ctx).project() as project:
        found = project.accept_feedback(*feedback)
    _tell(found, "Accepted", as_json)


@verbs.command("reject", cls=Verb)
def reject(ctx: typer.Context, feedback: Names, as_json: Json = False) -> None:
    """Let held feedback never count.

    Example:

        headrace feedback reject fb_3f2c9a
    """
    with session(ctx).project() as project:
        found = project.reject_feedback(*feedback)
    _tell(found, "Rejected", as_json)


def _state(one: Feedback) -> str:
    if one.state not in COUNTING:
        return f"{one.state}: {one.reason}"
    return "taken up" if one.used else "waits"


def _tell(found: Sequence[Feedback], done: str, as_json: bool) -> None:
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
    else:
        say(f"{done}: {len(found)}." if found else "Nothing was left to undo.")
