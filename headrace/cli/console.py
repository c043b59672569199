"""Open the console, and say who may enter it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Json
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session

PANEL = "Answer and listen"
verbs = typer.Typer()
user = typer.Typer(no_args_is_help=True)
verbs.add_typer(
    user, name="user", rich_help_panel=PANEL, help="Who may enter the console: owners and agents."
)
Name = Annotated[str, typer.Argument(help="The name with which they log in.")]


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def console(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option(help="The address; only this machine reaches 127.0.0.1.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any free one.")] = 8421,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where a reverse proxy shows it: https://console.example."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
) -> None:
    """Open the console in the browser: queue, labelling, reports.

    Until Ctrl-C, in English and Chinese. It has users of its own (headrace user add); keys of channels do not
    open it.

    Example:

        headrace console
        headrace console --no-browser --port 8600
        headrace console --host 0.0.0.0 --url https://console.example
    """
    with session(ctx).project() as project:
        load("consoling").serve(project, host, port, url, note, browser=not no_browser)


@user.command("add", cls=Verb)
def user_add(
    ctx: typer.Context,
    name: Name,
    role: Annotated[str, typer.Option(help="owner: everything; agent: queue, labelling, answers.")] = "agent",
) -> None:
    """Let somebody into the console, with a password of 10 characters or more.

    The password is asked for and not shown, or read from stdin where that is no terminal.

    Example:

        headrace user add alex --role owner
        headrace user add kim < password.txt
    """
    with session(ctx).project() as project:
        load("consoling").access(project).add(name, load("consoling").role_of(role), _password())
    say(f"Added {name} ({role}). Next: headrace console")


@user.command("list", cls=Verb)
def user_list(ctx: typer.Context, as_json: Json = False) -> None:
    """List who may enter the console, disabled users included.

    Example:

        headrace user list
        headrace user list --json
    """
    with session(ctx).project() as project:
        found = project.store.users.list()
    shown = [
        {
            "name": u.name,
            "role": u.role,
            "created": f"{u.created:%Y-%m-%d}",
            "disabled": u.disabled is not None,
        }
        for u in found
    ]
    if as_json:
        show_json(shown)
        return
    rows = [(u["name"], u["role"], u["created"], "disabled" if u["disabled"] else "") for u in shown]
    show_rows(
        "Users",
        ("name", "role", "since", "state"),
        [tuple(map(str, row)) for row in rows],
        "No users yet. Run: headrace user add NAME --role owner",
    )


@user.command("disable", cls=Verb)
def user_disable(ctx: typer.Context, name: Name) -> None:
    """Let somebody in no more; their sessions end at once.

    Example:

        headrace user disable kim
    """
    with session(ctx).project() as project:
        project.store.users.disable(name, project.clock())
    say(f"Disabled {name}.")


@user.command("password", cls=Verb)
def user_password(ctx: typer.Context, name: Name) -> None:
    """Give somebody another password; their sessions end at once.

    It is asked for and not shown, or read from stdin where that is no terminal.

    Example:

        headrace user password kim
    """
    with session(ctx).project() as project:
        load("consoling").access(project).set_password(name, _password())
    say(f"Changed the password of {name}.")


def _password() -> str:
    if sys.stdin.isatty():
        found: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return found
    return sys.stdin.readline().rstrip("\r\n")
