"""`headrace serve`: the server of a project, until Ctrl-C. Imports the web: only this verb loads it."""

from __future__ import annotations

from collections.abc import Callable

from headrace.project import Project
from headrace.web.assembly import assembled
from headrace.web.logs import logger
from headrace.web.server import refuse_open_without_keys
from headrace.web.server import serve as serve_service
from headrace.web.workers import supervise


def serve(
    project: Project,
    host: str | None,
    port: int | None,
    workers: int | None,
    note: Callable[[str], None],
) -> None:
    """Serve at `host` and `port`, the recipe's where None; `note` is told the URL and the end.

    Raises InputError where the port is taken, or the address open to others while no key exists.
    """
    settings = project.recipe.serve
    at = settings.port if port is None else port

    def ready(url: str) -> None:
        note(
            f"Serving {len(project.recipe.channels)} channels at {url}; its page: {url}/docs; end with Ctrl-C."
        )

    if (workers or settings.workers) > 1:
        refuse_open_without_keys(project.store, host or settings.host)
        project.store.close()  # no connection of this process stands in the way of theirs
        many, where = workers or settings.workers, host or settings.host
        supervise(project.folder, many, host=where, port=at, log=logger(), ready=ready)
    else:
        with assembled(project) as service:
            serve_service(service, project.store, host=host or settings.host, port=at, ready=ready)
    note("Stopped. Nothing acknowledged is lost.")
