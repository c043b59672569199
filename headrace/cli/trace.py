"""Trace an answer: why, since when, taught by whom."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Json
from headrace.cli.output import say, show_json
from headrace.cli.session import session

PANEL = "Look and keep"
verbs = typer.Typer()


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def trace(
    ctx: typer.Context,
    answer: Annotated[str, typer.Argument(help="The answer's id, ans_...")],
    as_json: Json = False,
) -> None:
    """Tell why an answer was given, since when, and taught by whom.

    One line first; then the adapter, the release and its evidence, what users said of it, and the nearest of the
    rows that taught the adapter, with the corrections behind them.

    Example:

        headrace trace ans_3f2c9a
        headrace trace ans_3f2c9a --json
    """
    with session(ctx).project() as project:
        found = project.trace(answer)
    if as_json:
        show_json(found.to_json())
        return
    for line in found.lines():
        say(line)
