"""Begin: a project, what is wrong with it, and the demo."""

from __future__ import annotations

import enum
import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import headrace
from headrace.cli.group import Verb
from headrace.cli.options import Json
from headrace.cli.output import say, show_json
from headrace.cli.progress import Progress
from headrace.cli.session import session

verbs = typer.Typer()


class Demo(enum.StrEnum):
    """What is shown."""

    flywheel = "flywheel"
    support = "support"


PANEL = "Begin"
_MARKS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def init(
    ctx: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(file_okay=False, help="Where; the project's folder if left out.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The project's name; the folder's if left out.")] = None,
) -> None:
    """Begin a project: write headrace.yaml and create the store.

    A headrace.yaml that is there without a store, as in a fresh clone, stays as it is and gets its store.

    Example:

        headrace init shop
        headrace init --project shop --name my-shop
    """
    where = folder or session(ctx).folder
    kept = headrace.Project(where).lacks_store()
    project = headrace.Project.init(where, name=name)
    path = project.folder / "headrace.yaml"
    if kept:
        say(f"Made the store, which was missing; {path} is kept as it was.")
        say("Next: headrace doctor, then: headrace collect, clean, turn, serve")
        return
    say(f"Made {path} and the store.")
    say("Next: name your channels and sources in it, then run: headrace collect, clean, turn, serve")


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def demo(
    which: Annotated[
        Demo, typer.Argument(help="flywheel, the first turns; or support, a help desk and its customers.")
    ] = Demo.flywheel,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rows and no LoRA: under 90 seconds.")] = False,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Another data set in place of ours: banking77; for support a folder, too."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            metavar="DIR",
            help="Where the project is made: demo-project or demo-support, with -quick for --quick.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws rows, order and the example shown.")] = 7,
) -> None:
    """Turn the flywheel on real text, from raw rows to a report.

    Three channels, two tasks: collect, train, serve, correct, turn again. Nothing is fetched.
    Stopped anywhere, the next run continues. `headrace demo support` is a help desk instead: customers ask in
    English and Chinese, what is sure is answered alone, and a person answers the rest.

    Example:

        headrace demo
        headrace demo --quick --folder my-demo
        headrace demo support --quick
    """
    script = importlib.import_module(
        "headrace.demo.support" if which is Demo.support else "headrace.demo.script"
    )
    name = "demo-support" if which is Demo.support else "demo-project"
    with Progress(sys.stderr) as progress:
        chosen = folder or Path(f"{name}-quick" if quick else name)
        script.run(chosen, quick=quick, data=data, seed=seed, console=Console(), progress=progress)


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Examine the installation and the project.

    Versions, extras, recipe, store, adapters, base, disk, port and clock, each with its cure. Exits
    with 1 where something is broken. It changes nothing.

    Example:

        headrace doctor
        headrace doctor --json
    """
    findings = importlib.import_module("headrace.doctor").examine(session(ctx).folder)
    if as_json:
        show_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            mark = typer.style(f"{finding.state:<5}", fg=_MARKS[finding.state])
            cure = f" {finding.cure}" if finding.cure else ""
            say(f"{mark}{finding.subject}: {finding.found}{cure}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)
