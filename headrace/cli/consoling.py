"""`headrace console` and its users. Imports the web: only these verbs load it."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from typing import get_args

from headrace.errors import InputError
from headrace.project import Project
from headrace.records import Role
from headrace.web.console.access import Access
from headrace.web.console.place import Console
from headrace.web.console.server import serve as serve_console


def serve(
    project: Project, host: str, port: int, url: str | None, note: Callable[[str], None], *, browser: bool
) -> None:
    """Serve the console of a project until Ctrl-C; `note` is told where it is."""
    console = Console.of(project, secure=bool(url and url.startswith("https://")))

    def ready(at: str) -> None:
        note(f"The console of {project.recipe.name} is at {at}; end with Ctrl-C.")
        if not project.store.users.any():
            note("Nobody may log in yet. In another terminal: headrace user add NAME --role owner")
        if browser:
            webbrowser.open(at)

    serve_console(console, host=host, port=port, url=url, ready=ready)
    note("Stopped.")


def access(project: Project) -> Access:
    """Users and sessions of a project."""
    return Access(project.store, project.clock, project.ids)


def role_of(name: str) -> Role:
    """A role by its name; raises InputError."""
    for role in get_args(Role):
        if role == name:
            found: Role = role
            return found
    raise InputError(f"there is no role {name!r}.", field="role", cure="Known: owner, agent.")
