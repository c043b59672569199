"""Who may ask: channels and their keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from headrace.cli.complete import channels as channel_names
from headrace.cli.complete import tasks as task_names
from headrace.cli.group import Verb
from headrace.cli.options import ChannelArgument, Json
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session

PANEL = "Channels"
verbs = typer.Typer()
channel = typer.Typer(no_args_is_help=True)
key = typer.Typer(no_args_is_help=True)
verbs.add_typer(
    channel, name="channel", rich_help_panel=PANEL, help="Where users are: add, list and remove channels."
)
verbs.add_typer(
    key, name="key", rich_help_panel=PANEL, help="Keys with which channels ask: make, list and revoke them."
)


@channel.command("add", cls=Verb)
def channel_add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Small letters, digits, dots and dashes.")],
    task: Annotated[
        list[str],
        typer.Option("--task", "-t", autocompletion=task_names, help="A task that it asks; repeatable."),
    ],
    language: Annotated[str, typer.Option(help="Of its users: en, zh, ...")] = "",
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    quota: Annotated[int | None, typer.Option(min=1, help="Questions a day at most.")] = None,
) -> None:
    """Add a channel to headrace.yaml; it starts on its task's shared adapter.

    Example:

        headrace channel add forum --task intent --language en --quota 10000
    """
    with session(ctx).project() as project:
        project.add_channel(name, task, language=language, owner=owner, daily_quota=quota)
    say(f"Added the channel {name}. Next: headrace key new {name}")


@channel.command("list", cls=Verb)
def channel_list(ctx: typer.Context, as_json: Json = False) -> None:
    """List the channels of the recipe.

    Example:

        headrace channel list
        headrace channel list --json
    """
    with session(ctx).project() as project:
        found = project.channels()
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [
        (one.name, ", ".join(one.tasks), one.language, one.owner, f"{one.daily_quota or 'no limit'}")
        for one in found
    ]
    heads = ("channel", "tasks", "language", "owner", "questions a day#")
    show_rows("Channels", heads, rows, "No channels yet. Run: headrace channel add NAME --task TASK")


@channel.command("remove", cls=Verb)
def channel_remove(ctx: typer.Context, name: ChannelArgument) -> None:
    """Take a channel out of headrace.yaml and revoke its keys.

    Its rows and history stay.

    Example:

        headrace channel remove forum
    """
    with session(ctx).project() as project:
        project.remove_channel(name)
    say(f"Removed the channel {name}; its keys open nothing any more, its rows and history stay.")


@key.command("new", cls=Verb)
def key_new(
    ctx: typer.Context,
    channel: ChannelArgument,
    public: Annotated[
        bool, typer.Option("--public", help="For web pages: it opens the widget's routes alone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key for a channel; it is shown once and stored only as its hash.

    Example:

        headrace key new website
        headrace key new website --public
        headrace key new website --json
    """
    with session(ctx).project() as project:
        made, secret = project.new_key(channel, "public" if public else "secret")
        allowed = project.recipe.channels[channel].origins
    if as_json:
        show_json({"id": made.id, "channel": made.channel, "kind": made.kind, "key": secret})
        return
    say(secret)
    if public:
        pages = (
            ", ".join(allowed) or f"none yet: list them in headrace.yaml under channels: {channel}: origins"
        )
        note(f"The public key {made.id} of {channel}. Web pages that may use it: {pages}.")
        return
    note(f"The key {made.id} of {channel}, shown this once: keep it where {channel} reads its secrets.")
    note("Send it as the header: Authorization: Bearer KEY")


@key.command("list", cls=Verb)
def key_list(
    ctx: typer.Context,
    channel: Annotated[
        str | None, typer.Argument(autocompletion=channel_names, help="Only this channel's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List keys by their ids and first letters, revoked ones included.

    Example:

        headrace key list
        headrace key list website --json
    """
    with session(ctx).project() as project:
        found = project.keys(channel)
    if as_json:
        show_json([_shown(one) for one in found])
        return
    rows = [(one.id, one.channel, one.kind, one.hint, _day(one.created), _day(one.revoked)) for one in found]
    heads = ("key", "channel", "kind", "begins", "made", "revoked")
    show_rows("Keys", heads, rows, "No keys yet. Run: headrace key new CHANNEL")


@key.command("revoke", cls=Verb)
def key_revoke(
    ctx: typer.Context, key: Annotated[str, typer.Argument(help="The key's id, key_..., not the key.")]
) -> None:
    """Switch a key off for good; a running server notices within a second.

    Example:

        headrace key revoke key_3f2c9a
    """
    with session(ctx).project() as project:
        revoked = project.revoke_key(key)
    say(f"Revoked {revoked.id} of {revoked.channel}.")


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "–"


def _shown(key: object) -> dict[str, object]:
    """A key without its digest."""
    found = load("tables").to_json(key)
    return {name: found[name] for name in ("id", "channel", "kind", "hint", "created", "revoked")}
