"""`headrace serve`: the server of a project, until Ctrl-C. Imports the web: only this verb loads it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

from headrace.cli.durations import in_words
from headrace.project import Project
from headrace.web.assembly import assembled
from headrace.web.customers import Customers
from headrace.web.logs import logger
from headrace.web.server import refuse_open_without_keys
from headrace.web.server import serve as serve_service
from headrace.web.turns import turning
from headrace.web.workers import supervise


def serve(
    project: Project,
    host: str | None,
    port: int | None,
    workers: int | None,
    note: Callable[[str], None],
    every: timedelta | None = None,
) -> None:
    """Serve at `host` and `port`, the recipe's where None; `note` is told the URL and the end.

    Where `every` says how often, the flywheel turns beside it from the moment at which it listens. Raises
    InputError where the port is taken, or the address open to others while no key exists; MissingExtra where
    turns lack their packages, StoreBusy where another server runs them.
    """
    settings = project.recipe.serve
    where, at = host or settings.host, settings.port if port is None else port
    with ExitStack() as held:
        runner = held.enter_context(turning(project, every, logger())) if every else None

        def ready(url: str) -> None:
            channels = len(project.recipe.channels)
            served = f"{channels} channel{'' if channels == 1 else 's'}"
            note(f"Serving {served} at {url}; its page: {url}/docs; end with Ctrl-C.")
            if every is not None and runner is not None:
                note(f"A turn every {in_words(every)}: see headrace status.")
                runner.start()

        _serve(project, where, at, workers or settings.workers, ready)
    note("Stopped. Nothing acknowledged is lost.")


def _serve(project: Project, host: str, port: int, workers: int, ready: Callable[[str], None]) -> None:
    if workers > 1:
        refuse_open_without_keys(project.store, host)
        project.store.close()  # no connection of this process stands in the way of theirs
        supervise(project.folder, workers, host=host, port=port, log=logger(), ready=ready)
    else:
        with assembled(project) as service:
            parts = [Customers.of(project, service)]
            serve_service(service, project.store, host=host, port=port, ready=ready, parts=parts)
