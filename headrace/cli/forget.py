"""Forget a person: what they gave is deleted, and what they taught is trained again without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Json
from headrace.cli.output import note, say, show_json
from headrace.cli.session import session

if TYPE_CHECKING:
    from headrace.flywheel.forgetting.forget import Forgotten

PANEL = "Look and keep"
verbs = typer.Typer()


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def forget(
    ctx: typer.Context,
    person: Annotated[
        str, typer.Argument(help="The end user's id as the channel sends it, or the pseudonym, person_...")
    ],
    as_json: Json = False,
) -> None:
    """Delete what a person gave; train again what they taught.

    Rows, feedback, answers, conversations and memory of theirs go for good, and each adapter that descends from
    one they taught is trained again without them. The history still verifies. Cut off, run it again.

    Example:

        headrace forget user-17
    """
    with session(ctx).project() as project:
        done = project.forget(person)
    if as_json:
        show_json(done.to_json())
        return
    for line in _lines(done):
        say(line)
    note("Backups of earlier still hold what was deleted here.")


def _lines(done: Forgotten) -> list[str]:
    deleted = ", ".join(f"{n:,} {name}" for name, n in done.deleted.items() if n and name != "relabelled")
    lines = [f"Deleted: {deleted or 'nothing'}."]
    if done.deleted.get("relabelled"):
        lines.append(f"Examples that say again what others said of them: {done.deleted['relabelled']:,}.")
    if not done.taught:
        lines.append("They had taught no adapter.")
    else:
        taught = f"Adapters they taught, or that descend from such: {done.taught:,}"
        lines.append(f"{taught}; trained again: {done.again:,}.")
    pairs = (
        ("Released", done.released),
        ("Fell back", done.fell_back),
        ("Served by nothing now", done.unserved),
    )
    lines += [f"{said}: {', '.join(names)}." for said, names in pairs if names]
    return [*lines, *done.notes, f"Receipt: {done.receipt}"]
