"""`headrace lm`: loads the model and serves it. Imports the web: only this verb loads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headrace.models.tasks.generate import PACKAGED, SMALL
from headrace.web.lm import server


def serve(
    name: str,
    cache: Path,
    host: str,
    port: int,
    key_env: str | None,
    waiting: int,
    threads: int | None,
    note: Callable[[str], None],
) -> None:
    """Serve a model until Ctrl-C; `note` is told what it is and where it answers."""
    key = server.key_of(key_env)
    server.refuse_open_without_key(host, key)
    note(f"Reading {name} ...")
    model = server.load(name, cache, threads)
    if model.name == PACKAGED:
        note(SMALL)

    def ready(url: str) -> None:
        note(f"{model.name} answers at {url}; end with Ctrl-C.")

    server.serve(model, host=host, port=port, key=key, waiting=waiting, ready=ready)
    note("Stopped.")
