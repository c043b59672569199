"""Answer and listen: serve all channels, ask in the terminal, and take feedback."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli import feedback
from headrace.cli.durations import duration
from headrace.cli.group import Verb
from headrace.cli.options import Channel, Json, Task
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session, the_only, the_pair

if TYPE_CHECKING:
    from headrace.records import Answer

PANEL = "Answer and listen"
Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT_OR_FILE...", help="What is asked, or one file: a text a line in .txt, else a row."
    ),
]
SameFile = Annotated[
    Path | None,
    typer.Option("--file", exists=True, dir_okay=False, help="The same as FILE, said outright."),
]
TextColumn = Annotated[
    str | None,
    typer.Option("--column", help="With FILE: the column of the text; found by its name if left out."),
]
ChannelColumn = Annotated[
    str | None,
    typer.Option(
        "--channel-column", help="With --out: the column of each row's channel; --channel where empty."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", dir_okay=False, help="With FILE: write to this .csv, .jsonl or .parquet file."),
]
Restart = Annotated[
    bool, typer.Option("--restart", help="With --out: throw away what an unfinished run has answered.")
]
Mixed = Annotated[
    bool, typer.Option("--mixed", help="With --out: go on although another release serves by now.")
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, max=64, help="With --out: parts of the file answered at a time.")
]
verbs = typer.Typer()


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address; the recipe's if left out.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port; the recipe's if left out, 0 is any free one."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, max=64, help="Processes that share the port; the recipe's if left out."
        ),
    ] = None,
    turn_every: Annotated[
        str | None,
        typer.Option(
            "--turn-every",
            metavar="TIME",
            help="Turn the flywheel beside it as often as this: 30m, 1h, 1d. Needs headrace\\[train].",
        ),
    ] = None,
) -> None:
    """Serve all channels over HTTP, from one process or several.

    Until Ctrl-C. Releases, rollbacks and feedback of other processes are followed within a second. With
    --turn-every the flywheel turns by itself, in a process of its own at low priority.

    Example:

        headrace serve
        headrace serve --host 127.0.0.1 --port 8500
        headrace serve --workers 4 --turn-every 1h
    """
    every = None if turn_every is None else duration(turn_every, "turn-every")
    with session(ctx).project() as project:
        load("listening").serve(project, host, port, workers, note, every)


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def predict(
    ctx: typer.Context,
    texts: Texts = None,
    task: Task = None,
    channel: Channel = None,
    file: SameFile = None,
    column: TextColumn = None,
    channel_column: ChannelColumn = None,
    out: Out = None,
    restart: Restart = False,
    mixed: Mixed = False,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Answer as the server would, corrections included.

    What is shown is stored, and each answer can be corrected by its id. With --out a file of any size is
    answered into that file alone and nothing is stored: every row in its place with all of its columns, then
    label, confidence, because (the correction that decided), release, adapter and, where a row cannot be
    asked, error. Ended before it is done, the same line goes on where it was.

    Example:

        headrace predict "Where is my parcel?" --task intent --channel website
        headrace predict questions.txt --channel website
        headrace predict reviews.csv --column body --channel website --out answers.parquet
    """
    asking = load("asking")
    source = asking.file_meant(texts or [], file, out)
    with session(ctx).project() as project:
        if out is not None:
            if channel_column is None:
                task, channel = the_pair(project, task, channel)
            how = {"column": column, "channel_column": channel_column, "restart": restart, "mixed": mixed}
            how |= {"task": the_only("task", task, list(project.recipe.tasks)), "channel": channel}
            written = asking.write(project, source, out, workers, how, note)
            show_json(asking.summary(written)) if as_json else say(asking.sentence(written))
            return
        pair = the_pair(project, task, channel)
        asked = asking.few(source, column, note) if source is not None else texts
        found: list[Answer] = list(asking.answers(project, asked, *pair))
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [(one.text, one.label, f"{100 * one.confidence:.0f} %", one.id) for one in found]
    show_rows("Answers", ("text", "label", "sure#", "answer"), rows, "Nothing was asked.")


verbs.add_typer(
    feedback.verbs,
    name="feedback",
    rich_help_panel=PANEL,
    help="What users say of answers: add it, list it, undo it, judge what is held.",
)
