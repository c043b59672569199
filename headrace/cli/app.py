"""All verbs under one name, what stands before every verb, and the entry point."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

import headrace
from headrace.cli import (
    answer,
    begin,
    channels,
    console,
    expect,
    forget,
    golden,
    knowledge,
    labels,
    learn,
    lm,
    past,
    retention,
    rows,
    search,
    support,
    trace,
    trials,
    webhook,
)
from headrace.cli.group import Commands
from headrace.cli.session import Session

EPILOG = "Every verb has an example: headrace VERB --help. `--project` and `--debug` may stand after it too."

# Read by libraries when they are imported; what a user has set stays.
_QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TQDM_DISABLE": "1",
}

app = typer.Typer(
    cls=Commands,
    epilog=EPILOG,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (
    begin,
    channels,
    webhook,
    rows,
    golden,
    knowledge,
    learn,
    labels,
    trials,
    answer,
    search,
    support,
    expect,
    console,
    lm,
    past,
    forget,
    retention,
    trace,
):
    app.add_typer(part.verbs)


def main() -> None:
    """Run the command line; exits with 0, or with the exit code of what went wrong."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    app(prog_name="headrace")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(headrace.__version__)
        raise typer.Exit


@app.callback()
def whole(
    ctx: typer.Context,
    project: Annotated[
        Path,
        typer.Option(
            "--project",
            "-C",
            envvar="HEADRACE_PROJECT",
            file_okay=False,
            metavar="DIR",
            help="The project's folder: headrace.yaml and the store.",
        ),
    ] = Path("."),
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Turn a pretrained model into a product for every channel, one that learns from every answer.

    A channel asks, an adapter answers, users say what was wrong, and a turn of the flywheel learns from it.

    Example:

        headrace demo --quick
        headrace init shop
        headrace --project shop turn
    """
    ctx.obj = Session(project, debug)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
