"""Customer service in the terminal: ask as a customer would, answer what waits, check what was drawn."""

from __future__ import annotations

import enum
import importlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Json, OnlyChannel
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session, the_only

if TYPE_CHECKING:
    from headrace.apps.support.desk import Desk
    from headrace.project import Project

PANEL = "Customer service"
verbs = typer.Typer()
support = typer.Typer(no_args_is_help=True)
TicketId = Annotated[str, typer.Argument(metavar="TICKET", help="A ticket's id, tkt_...")]
Agent = Annotated[str, typer.Option("--agent", metavar="NAME", help="Who answers.")]
_ALL = 200


class Word(enum.StrEnum):
    """What a check says."""

    right = "right"
    wrong = "wrong"


def _desk(project: Project) -> Desk:
    found: Desk = importlib.import_module("headrace.apps.support.desk").Desk(project)
    return found


def _known(project: Project, channel: str | None) -> None:
    """Raise NotFound for a channel that is none."""
    if channel is not None:
        project.recipe.channel(channel)


def _channel(project: Project, given: str | None) -> str:
    return the_only("channel", given, project.recipe.support.channels)


@support.command("ask", cls=Verb)
def ask(
    ctx: typer.Context,
    texts: Annotated[
        list[str], typer.Argument(metavar="MESSAGE...", help="What the customer says, in turn.")
    ],
    channel: OnlyChannel = None,
    as_json: Json = False,
) -> None:
    """Ask as a customer of a channel would, in a new conversation.

    What the machine is not sure of makes a ticket, as it would in earnest.

    Example:

        headrace support ask "How do I get a key?"
        headrace support ask --channel shop 怎么新建密钥 那怎么停用呢
    """
    with session(ctx).project() as project:
        desk = _desk(project)
        begun = desk.begin(_channel(project, channel))
        told = []
        for text in texts:
            message = desk.receive(begun.conversation.id, text)
            told.append((message, desk.reply(message)))
    if as_json:
        tables = load("tables")
        show_json([{"message": tables.to_json(m), "reply": tables.to_json(r)} for m, r in told])
        return
    say(f"machine: {begun.greeting.text}")
    for message, reply in told:
        say(f"you: {message.text}")
        said = reply.message.text if reply.message else "(a person is awaited; the machine is quiet)"
        say(f"machine ({reply.decision}): {said}")
        for choice in reply.choices:
            say(f"  - {choice.title} ({choice.label})")
        for passage in reply.sources:
            note(f"  source: {passage.title} {passage.url}".rstrip())
        if reply.ticket:
            note(f"Answer it: headrace support answer {reply.ticket.id} TEXT --agent NAME")


@support.command("tickets", cls=Verb)
def tickets(ctx: typer.Context, channel: OnlyChannel = None, as_json: Json = False) -> None:
    """List what waits for a person, oldest first.

    Example:

        headrace support tickets
        headrace support tickets --channel shop --json
    """
    with session(ctx).project() as project:
        desk = _desk(project)
        _known(project, channel)
        found, waiting = desk.queue(channel), desk.open_count(channel)
    if len(found) < waiting:
        note(f"Shown: {len(found)} of {waiting}.")
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    heads = ("ticket", "channel", "state", "why", "since", "question", "best suggestion")
    show_rows("Tickets", heads, [_row(one) for one in found], "Nobody waits.")


def _row(one: Any) -> tuple[str, ...]:
    best = one.suggestions[0] if one.suggestions else None
    return (
        one.ticket.id,
        one.ticket.channel,
        f"{one.ticket.state} {one.ticket.agent or ''}".strip(),
        one.ticket.reason,
        f"{one.ticket.at:%Y-%m-%d %H:%M}",
        one.question.text if one.question else "",
        f"{best.passage.title} ({best.chance:.0%}, {best.passage.id})" if best else "",
    )


@support.command("take", cls=Verb)
def take(ctx: typer.Context, ticket: TicketId, agent: Agent, as_json: Json = False) -> None:
    """Take a ticket, so that nobody else works on it.

    Example:

        headrace support take tkt_3f2c9a --agent ann
    """
    with session(ctx).project() as project:
        taken = _desk(project).take(ticket, agent)
    if as_json:
        show_json(load("tables").to_json(taken))
        return
    say(f"{taken.id} is {agent}'s.")


@support.command("answer", cls=Verb)
def answer(
    ctx: typer.Context,
    ticket: TicketId,
    agent: Agent,
    text: Annotated[str, typer.Argument(help="What to say; the passage's text if left out.")] = "",
    passage: Annotated[
        str | None, typer.Option(metavar="PASSAGE", help="The passage that answers, pas_...")
    ] = None,
    intent: Annotated[
        str | None, typer.Option(metavar="LABEL", help="What was meant, where the machine was wrong.")
    ] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Keep the text as a draft document.")] = False,
    seen: Annotated[
        str | None,
        typer.Option(
            metavar="MESSAGE", help="The customer's last message that you read, msg_...; else the last."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer a ticket; the customer sees it at once.

    A passage or an intent that is named counts as the owner's word, from the next question on. A drawn answer of
    the machine's that is neither named nor checked counts as wrong.

    Example:

        headrace support answer tkt_3f2c9a "We open at nine." --agent ann --draft
        headrace support answer tkt_3f2c9a --agent ann --intent create_key --passage pas_7d01
    """
    with session(ctx).project() as project:
        said = _desk(project).answer(
            ticket, agent, text, passage=passage, intent=intent, draft=draft, seen=seen
        )
    if as_json:
        show_json(load("tables").to_json(said))
        return
    say(f"Said: {said.text}")


@support.command("check", cls=Verb)
def check(
    ctx: typer.Context,
    message: Annotated[
        str | None, typer.Argument(metavar="[MESSAGE]", help="A message's id; left out, they are listed.")
    ] = None,
    word: Annotated[Word | None, typer.Argument(help="right or wrong.")] = None,
    agent: Agent = "owner",
    label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="What would have been right: an intent or a passage.")
    ] = None,
    channel: OnlyChannel = None,
    as_json: Json = False,
) -> None:
    """Say whether a drawn answer is right; without a message, list them.

    The guarantee rests on these checks alone. Of several words on one answer the newest stands.

    Example:

        headrace support check
        headrace support check msg_19ab wrong --label create_key --agent ann
    """
    with session(ctx).project() as project:
        desk = _desk(project)
        if message is not None and word is not None:
            done = desk.check(message, agent, word is Word.right, label=label)
            if as_json:
                show_json(load("tables").to_json(done))
            else:
                say(f"{done.message}: {'right' if done.right else 'wrong'}.")
            return
        _known(project, channel)
        found = desk.to_check(channel)
        asked = [
            project.store.conversations.message(one.reply_to).text if one.reply_to else "" for one in found
        ]
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [
        (one.id, one.decision or "", f"{one.score or 0:.2f}", text, one.text)
        for one, text in zip(found, asked, strict=True)
    ]
    heads = ("message", "decided", "score#", "question", "the machine's answer")
    show_rows("To check", heads, rows, "Everything that was drawn is checked.")


@support.command("standing", cls=Verb)
def standing(ctx: typer.Context, channel: OnlyChannel = None, as_json: Json = False) -> None:
    """Tell what is answered alone and under which promise.

    Example:

        headrace support standing
        headrace support standing --channel shop --json
    """
    with session(ctx).project() as project:
        found = _desk(project).standings(channel)
    if as_json:
        tables = load("tables")
        show_json([{"task": t, "channel": c} | tables.to_json(one) for (t, c), one in found.items()])
        return
    rows = [_standing(task, name, one) for (task, name), one in found.items()]
    heads = (
        "channel",
        "task",
        "wrong at most",
        "alone from",
        "checks#",
        "alone#",
        "wrong of it#",
        "still needed",
    )
    show_rows("Guarantee", heads, rows, "No channel's customers are answered: see support in headrace.yaml.")


@support.command("secret", cls=Verb)
def secret(ctx: typer.Context, as_json: Json = False) -> None:
    """Show the secret under which `support.webhook` is told of tickets.

    Signatures are those of standardwebhooks.com. The secret is made once and kept in the store.

    Example:

        headrace support secret
    """
    with session(ctx).project() as project:
        found = importlib.import_module("headrace.apps.support.notify").webhook_secret(project.store)
    if as_json:
        show_json({"secret": found})
    else:
        say(found)


def _standing(task: str, channel: str, one: Any) -> tuple[str, ...]:
    certified = one.threshold is not None
    needed = "nothing" if certified else "unknown" if one.needed is None else f"about {one.needed}"
    return (
        channel,
        task,
        f"{one.target:.1%}",
        f"{one.threshold:.2f}" if certified else "never yet",
        f"{one.checked}",
        f"{one.alone_share:.0%}",
        f"{one.error.value:.1%}" if certified else "",
        needed,
    )


verbs.add_typer(
    support,
    name="support",
    rich_help_panel=PANEL,
    help="Customers' questions: ask, answer what waits, check what was drawn.",
)
