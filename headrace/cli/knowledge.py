"""Documents in the terminal: read them, look at them, write an answer, and see what no document says."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import complete
from headrace.cli.group import Verb
from headrace.cli.options import Json, OnlyChannel
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session
from headrace.errors import InputError

if TYPE_CHECKING:
    from headrace.records import Document

PANEL = "Customer service"
verbs = typer.Typer()
knowledge = typer.Typer(no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="DOCUMENT", help="A document's id, doc_...")]

Ids = Annotated[list[str], typer.Argument(metavar="DOCUMENT...", help="Ids of documents, doc_...")]


class State(enum.StrEnum):
    """What a document may be."""

    live = "live"
    draft = "draft"
    gone = "gone"


@knowledge.command("sync", cls=Verb)
def sync(
    ctx: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="Names under `knowledge`; all of them if left out."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read the documents that the recipe names under `knowledge`.

    Only what changed is written. What its source no longer holds answers nobody from then on; a source that
    cannot be read keeps its documents. What cannot be a document is in quarantine until it can.

    Example:

        headrace knowledge sync
        headrace knowledge sync faq manual --json
    """
    with session(ctx).project() as project:
        found = project.sync_knowledge(sources or None)
    if as_json:
        show_json(load("tables").to_json(found))
    else:
        say(
            f"Documents: {found.added:,} added, {found.changed:,} changed, {found.removed:,} removed,"
            f" {found.unchanged:,} unchanged."
        )
        if found.rejected:
            say(f"{found.rejected:,} could not be read as documents.")
            note("See why: headrace quarantine list")
    if found.unread:
        said = "\n".join(f"{name}: {why}" for name, why in found.unread.items())
        raise InputError(f"not every source could be read.\n{said}", cure="What they held before stays.")


@knowledge.command("list", cls=Verb)
def list_(
    ctx: typer.Context,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    channel: OnlyChannel = None,
    state: Annotated[State | None, typer.Option(help="Only these; left out, all that are not gone.")] = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Only those that an agent found wrong.")] = False,
    as_json: Json = False,
) -> None:
    """List documents by source and place, and whom they answer.

    Example:

        headrace knowledge list
        headrace knowledge list --state draft
        headrace knowledge list --channel website --flagged --json
    """
    wanted: Any = state.value if state is not None else None
    with session(ctx).project() as project:
        found = project.documents(source=source, channel=channel, state=wanted, flagged=flagged)
    shown = [one for one in found if state is not None or one.state != "gone"]
    if as_json:
        show_json([load("tables").to_json(one) for one in shown])
        return
    rows = [(one.id, one.title, one.source, one.channel or "all", one.flag or one.state) for one in shown]
    heads = ("document", "title", "source", "channel", "state")
    show_rows(
        "Documents", heads, rows, "No documents. Name some under `knowledge`, then: headrace knowledge sync"
    )


@knowledge.command("show", cls=Verb)
def show(ctx: typer.Context, document: Id, as_json: Json = False) -> None:
    """Show a document's passages: what can be given as an answer.

    Example:

        headrace knowledge show doc_3f2c9a
    """
    with session(ctx).project() as project:
        found, passages = project.document(document)
    if as_json:
        tables = load("tables")
        show_json({**tables.to_json(found), "passages": [tables.to_json(one) for one in passages]})
        return
    say(f"{found.title}: {found.state}, {found.channel or 'all channels'}, from {found.source} {found.place}")
    if found.flag:
        say(f"Found wrong: {found.flag}")
    rows = [(one.id, one.title, one.text) for one in passages]
    show_rows("Passages", ("passage", "title", "text"), rows, "It has no passages.")


@knowledge.command("add", cls=Verb)
def add(
    ctx: typer.Context,
    title: Annotated[str, typer.Argument(help="The question that is answered.")],
    text: Annotated[str | None, typer.Argument(help="The answer, given word for word.")] = None,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with the answer, in UTF-8.")
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option("--channel", "-c", autocompletion=complete.channels, help="Only for this channel."),
    ] = None,
    language: Annotated[str, typer.Option(help="The answer's language, as en or zh-CN.")] = "",
    intent: Annotated[str | None, typer.Option(help="The label of the question that it answers.")] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Let it answer at once.")] = False,
    as_json: Json = False,
) -> None:
    """Write an answer; until it is published it is a draft and answers nobody.

    A draft of the same title is replaced.

    Example:

        headrace knowledge add "Do you ship to Norway?" "Yes, in five days." --publish
        headrace knowledge add "How do I return a gift?" --file gift.txt --channel website
    """
    if (text is None) == (file is None):
        raise InputError("an answer is a text or a file.", cure="Give TEXT, or --file FILE.")
    said = text if file is None else file.read_text(encoding="utf-8", errors="strict")
    with session(ctx).project() as project:
        made = project.draft(title, said or "", channel, language, intent)
        made = project.publish(made.id) if publish else made
    _tell(made, "Live" if publish else "Draft", as_json)


@knowledge.command("publish", cls=Verb)
def publish(ctx: typer.Context, documents: Ids) -> None:
    """Let drafts answer from now on.

    Example:

        headrace knowledge publish doc_3f2c9a
    """
    with session(ctx).project() as project:
        found = [project.publish(one) for one in documents]
    _count("Live", found)


@knowledge.command("flag", cls=Verb)
def flag(
    ctx: typer.Context,
    document: Id,
    reason: Annotated[str | None, typer.Argument(help="What is wrong with it.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Nothing is wrong with it any more.")] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a document.

    The flag goes by itself once the document changed.

    Example:

        headrace knowledge flag doc_3f2c9a "the price is last year's"
        headrace knowledge flag doc_3f2c9a --clear
    """
    if (reason is None) != clear:
        raise InputError("a flag says what is wrong.", field="reason", cure="Give REASON, or --clear.")
    with session(ctx).project() as project:
        found = project.flag_document(document, reason)
    _tell(found, "Flagged" if reason else "Cleared", as_json)


@knowledge.command("remove", cls=Verb)
def remove(ctx: typer.Context, documents: Ids) -> None:
    """Take away answers that were written here.

    What they answered stays readable. A document of a source is taken out there, and goes with the next sync.

    Example:

        headrace knowledge remove doc_3f2c9a
    """
    with session(ctx).project() as project:
        found = [project.remove_document(one) for one in documents]
    _count("Removed", found)


@knowledge.command("gaps", cls=Verb)
def gaps(
    ctx: typer.Context,
    channel: OnlyChannel = None,
    least: Annotated[int, typer.Option(min=1, help="How often it was asked, at least.")] = 2,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Show what customers asked and no document answered, most asked first.

    Questions of one meaning are counted together. Answer one: headrace knowledge add TITLE TEXT

    Example:

        headrace knowledge gaps
        headrace knowledge gaps --channel website --least 5 --json
    """
    with session(ctx).project() as project:
        found = project.gaps(channel, least=least, limit=limit)
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [(f"{one.count:,}", one.draft, "\n".join(one.questions[1:4]), one.answer or "") for one in found]
    show_rows(
        "Gaps", ("asked#", "question", "also asked as", "draft"), rows, "No gaps: nothing waited twice."
    )


def _tell(document: Document, done: str, as_json: bool) -> None:
    if as_json:
        show_json(load("tables").to_json(document))
        return
    say(f"{done}: {document.id}, {document.title}.")
    if document.state == "draft":
        note(f"Let it answer: headrace knowledge publish {document.id}")


def _count(done: str, documents: Sequence[Document]) -> None:
    say(f"{done}: {', '.join(one.id for one in documents)}.")


verbs.add_typer(
    knowledge,
    name="knowledge",
    rich_help_panel=PANEL,
    help="Documents that answer questions, and what none says.",
)
