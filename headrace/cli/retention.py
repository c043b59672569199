"""Retention: what is older than the recipe's days is deleted."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Json
from headrace.cli.output import note, say, show_json
from headrace.cli.session import session

verbs = typer.Typer()
retention = typer.Typer(no_args_is_help=True)
verbs.add_typer(
    retention,
    name="retention",
    rich_help_panel="Look and keep",
    help="How long what users said is kept.",
)


@retention.command("apply", cls=Verb)
def retention_apply(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go; delete nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Delete what is older than headrace.yaml says under `retention`.

    Answers, searches, conversations that wait for nobody with all that belongs to them, and quarantine. A server
    does it once a day by itself. Answers that somebody said something of stay, and so does the history.

    Example:

        headrace retention apply --dry-run
        headrace retention apply
    """
    with session(ctx).project() as project:
        counts = project.apply_retention(dry_run=dry_run)
        kept = not any(project.recipe.retention.model_dump().values())
    if as_json:
        show_json(counts)
        return
    said = ", ".join(f"{n:,} {name}" for name, n in counts.items()) or "nothing"
    say(f"{'Would be deleted' if dry_run else 'Deleted'}: {said}.")
    if kept:
        note("headrace.yaml keeps everything; name days under retention: answers, conversations, quarantine.")
    elif not dry_run:
        note("Backups of earlier still hold what was deleted here.")
