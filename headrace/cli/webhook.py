"""Webhooks: the secret that both sides know, and what became of deliveries."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from headrace.cli.complete import channels as channel_names
from headrace.cli.group import Verb
from headrace.cli.options import ChannelArgument, Json
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session

verbs = typer.Typer()
webhook = typer.Typer(no_args_is_help=True)
verbs.add_typer(
    webhook,
    name="webhook",
    rich_help_panel="Channels",
    help="Customers elsewhere: secrets of webhooks, deliveries in and out.",
)


@webhook.command("secret", cls=Verb)
def webhook_secret(
    ctx: typer.Context,
    channel: ChannelArgument,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the last stays valid too.")
    ] = False,
    retire: Annotated[bool, typer.Option("--retire", help="End the older of two.")] = False,
) -> None:
    """Show the secret of a channel's webhooks; make it where there is none.

    Both directions are signed under it. To change it: --rotate, give the new one to the other side, then
    --retire.

    Example:

        headrace webhook secret partner
        headrace webhook secret partner --rotate
        headrace webhook secret partner --retire
    """
    with session(ctx).project() as project:
        secrets = project.webhook_secrets(channel, rotate=rotate, retire=retire)
        hook = project.recipe.channels[channel].webhook
    say(secrets[0])
    if len(secrets) > 1:
        note(f"The one before is valid too. End it with: headrace webhook secret {channel} --retire")
    if hook is None:
        note(f"Say where it goes in headrace.yaml, under channels: {channel}: webhook: url")


@webhook.command("list", cls=Verb)
def webhook_list(
    ctx: typer.Context,
    channel: Annotated[
        str | None, typer.Argument(autocompletion=channel_names, help="Only this channel's.")
    ] = None,
    state: Annotated[
        Literal["waiting", "done", "dead"] | None, typer.Option(help="Only those: waiting, done or dead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List deliveries, newest first.

    Dead ones were tried ten times, or their receiver is gone for good.

    Example:

        headrace webhook list
        headrace webhook list partner --state dead --json
    """
    with session(ctx).project() as project:
        found = project.deliveries(channel, state)
    if as_json:
        shown = [load("tables").to_json(one) for one in found]
        show_json([{name: value for name, value in one.items() if name != "body"} for one in shown])
        return
    rows = [
        (one.id, one.channel, one.direction, one.state, str(one.tries), f"{one.at:%Y-%m-%d %H:%M}")
        for one in found
    ]
    heads = ("delivery", "channel", "way", "state", "failed#", "since")
    show_rows("Deliveries", heads, rows, "No deliveries yet. Run: headrace webhook secret CHANNEL")


@webhook.command("retry", cls=Verb)
def webhook_retry(ctx: typer.Context, channel: ChannelArgument) -> None:
    """Try anew what was given up on its way out to a channel.

    Example:

        headrace webhook retry partner
    """
    with session(ctx).project() as project:
        count = project.deliver_again(channel)
    say(f"{count} deliveries of {channel} are tried anew by the server.")
