"""A language model of your own behind an OpenAI-style endpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.output import note
from headrace.cli.session import load, session

verbs = typer.Typer()
PANEL = "Answer"


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def lm(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(help="The packaged model, a folder that transformers saved, or a name on the hub."),
    ] = "smollm2-135m-instruct",
    host: Annotated[
        str, typer.Option(help="The address; one that others can reach needs --key-env.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any free one.")] = 8421,
    key_env: Annotated[
        str | None,
        typer.Option(
            "--key-env", metavar="NAME", help="The environment variable with the key of its callers."
        ),
    ] = None,
    waiting: Annotated[
        int, typer.Option(min=0, max=1024, help="Requests that may wait; beyond them 503.")
    ] = 8,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="Of the processor; torch's own choice if left out.")
    ] = None,
) -> None:
    """Run a language model behind an OpenAI-style endpoint.

    It writes answers from found passages where the recipe names it under support.writer. The packaged model
    is English and small (135 million parameters): it shows how it works; for customers name a larger one.
    A model that wants to run code of its own is refused. Needs headrace\\[lm]. Until Ctrl-C.

    Example:

        headrace lm
        headrace lm ./my-model --port 9000
        headrace lm Qwen/Qwen2.5-1.5B-Instruct --host 0.0.0.0 --key-env LM_KEY
    """
    load("language").serve(model, _cache(session(ctx).folder), host, port, key_env, waiting, threads, note)


def _cache(project: Path) -> Path:
    """The project's cache where there is one, else the user's."""
    if (project / "headrace.yaml").is_file():
        return project / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace"
