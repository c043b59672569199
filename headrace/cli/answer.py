"""Answer and listen: serve all channels, ask in the terminal, and take feedback."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Channel, Json, OnlyChannel, OnlyTask, Task
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session, the_pair
from headrace.errors import InputError

if TYPE_CHECKING:
    from headrace.records import Answer

PANEL = "Answer and listen"
verbs = typer.Typer()
feedback = typer.Typer(no_args_is_help=True)


class Said(enum.StrEnum):
    """What a user may say of an answer."""

    right = "right"
    wrong = "wrong"
    correction = "correction"


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address; the recipe's if left out.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port; the recipe's if left out, 0 is any free one."),
    ] = None,
) -> None:
    """Serve all channels from one process over HTTP.

    Until Ctrl-C. Releases, rollbacks and feedback of other processes are followed within a second.

    Example:

        headrace serve
        headrace serve --host 127.0.0.1 --port 8500
    """
    with session(ctx).project() as project:
        load("listening").serve(project, host, port, note)


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def predict(
    ctx: typer.Context,
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT...", help="What is asked.")] = None,
    task: Task = None,
    channel: Channel = None,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Ask every text of a file: a line each in .txt, else a row each.",
        ),
    ] = None,
    column: Annotated[str | None, typer.Option(help="With --file: the column of the text.")] = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the answers to this .csv or .jsonl file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer as the server would, corrections included.

    Each answer is stored and can be corrected by its id.

    Example:

        headrace predict "Where is my parcel?" --task intent --channel website
        headrace predict --file questions.txt --channel website --out answers.jsonl
    """
    if bool(texts) == (file is not None):
        raise InputError("give either TEXT or --file.", cure='For example: headrace predict "Where is it?"')
    asking = load("asking")
    with session(ctx).project() as project:
        pair = the_pair(project, task, channel)
        asked = asking.read(file, column, note) if file is not None else iter(texts or ())
        answers = asking.answers(project, asked, *pair)
        if out is not None:
            say(f"Wrote {asking.write(answers, out):,} answers to {out}.")
            return
        found: list[Answer] = list(answers)
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [(one.text, one.label, f"{100 * one.confidence:.0f} %", one.id) for one in found]
    show_rows("Answers", ("text", "label", "sure#", "answer"), rows, "Nothing was asked.")


@feedback.command("add", cls=Verb)
def feedback_add(
    ctx: typer.Context,
    answer: Annotated[str, typer.Argument(help="The answer's id, ans_...")],
    verdict: Annotated[
        Said | None, typer.Option(help="What the user said; a correction where there is a label.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The right label.")] = None,
    person: Annotated[str | None, typer.Option(help="Who said it: an id of yours, not a name.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a user thought of an answer.

    A correction counts at once, and is learned at the next turn.

    Example:

        headrace feedback add ans_3f2c9a --label refund
        headrace feedback add ans_3f2c9a --verdict right
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
        say(f"Kept {made.id}: {made.verdict}{right}. It waits for the next turn.")


@feedback.command("list", cls=Verb)
def feedback_list(
    ctx: typer.Context,
    task: OnlyTask = None,
    channel: OnlyChannel = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what the next turn will learn.")] = False,
    as_json: Json = False,
) -> None:
    """List feedback in the order in which it came.

    Example:

        headrace feedback list --waiting
        headrace feedback list --channel website --json
    """
    with session(ctx).project() as project:
        found = project.feedback(task=task, channel=channel, used=False if waiting else None)
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [
        (
            f"{one.channel}\n{one.task}",
            one.text,
            one.verdict,
            one.label or "",
            "taken up" if one.used else "waits",
        )
        for one in found
    ]
    heads = ("channel", "text", "verdict", "label", "state")
    show_rows("Feedback", heads, rows, "No feedback yet." if not waiting else "No feedback waits.")


verbs.add_typer(
    feedback, name="feedback", rich_help_panel=PANEL, help="What users say of answers: add and list it."
)
