"""What the owner expects to be answered: kept in expectations.csv, tried before anything goes live."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from headrace.cli.complete import channels as channel_names
from headrace.cli.group import Verb
from headrace.cli.options import Json
from headrace.cli.output import note, say, show_json, show_rows
from headrace.cli.session import load, session
from headrace.errors import InputError

verbs = typer.Typer()
expect = typer.Typer(no_args_is_help=True)
verbs.add_typer(
    expect,
    name="expect",
    rich_help_panel="Customer service",
    help="Questions with the answer that is expected, tried before a release and before documents change.",
)
Asked = Annotated[str, typer.Argument(metavar="QUESTION", help="As a customer asks it.")]
Where = Annotated[
    str, typer.Option("--channel", "-c", autocompletion=channel_names, help="Where it is asked.")
]


@expect.command("add", cls=Verb)
def expect_add(
    ctx: typer.Context,
    question: Asked,
    channel: Where,
    intent: Annotated[str, typer.Option(help="The label that it is to get.")] = "",
    document: Annotated[
        str, typer.Option(help="The title, place or id of the document that is to answer it.")
    ] = "",
) -> None:
    """Expect an answer to a question.

    A challenger that loses it is refused at its release. How many a release may lose stands in
    headrace.yaml, under gate: expected.

    Example:

        headrace expect add "Where is my parcel?" --channel website --intent delivery
        headrace expect add "Do you ship to Norway?" --channel website --document shipping.md
    """
    kept = load_data()
    with session(ctx).project() as project:
        project.recipe.channel(channel)
        kept.add(project.folder, kept.Expectation(channel, question.strip(), intent, document))
    say(f"Expected in {channel}: {question}")
    note("Try it: headrace expect check")


@expect.command("list", cls=Verb)
def expect_list(ctx: typer.Context, as_json: Json = False) -> None:
    """List what is expected, as expectations.csv has it.

    Example:

        headrace expect list
        headrace expect list --json
    """
    with session(ctx).project() as project:
        found = load_data().expectations(project.folder)
    if as_json:
        show_json([load("tables").to_json(one) for one in found])
        return
    rows = [(one.channel, one.question, one.intent or one.document) for one in found]
    show_rows(
        "Expected", ("channel", "question", "answer"), rows, "Nothing yet. Run: headrace expect add QUESTION"
    )


@expect.command("remove", cls=Verb)
def expect_remove(ctx: typer.Context, question: Asked, channel: Where) -> None:
    """Expect nothing of a question any more.

    Example:

        headrace expect remove "Where is my parcel?" --channel website
    """
    with session(ctx).project() as project:
        load_data().remove(project.folder, channel, question)
    say(f"Nothing is expected in {channel} of: {question}")


@expect.command("check", cls=Verb)
def expect_check(
    ctx: typer.Context,
    sync: Annotated[
        bool,
        typer.Option("--sync", help="As it would be once the documents are read again; nothing changes."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Try what is expected on what serves now.

    With --sync on the documents as they would be. Exits with 2 where an expectation is not met; with
    --sync, where one that is met now would not be.

    Example:

        headrace expect check
        headrace expect check --sync
        headrace expect check --sync --json
    """
    with session(ctx).project() as project:
        _preview(project, as_json) if sync else _check(project, as_json)


def load_data() -> Any:
    """The module of expectations; only these verbs load it."""
    return load_module("headrace.data.expectations")


def load_module(name: str) -> Any:
    """A module that a verb needs, imported when it runs."""
    return importlib.import_module(name)


def _check(project: Any, as_json: bool) -> None:
    found = load_module("headrace.apps.support.regression").tried(project)
    if as_json:
        show_json([one.to_json() for one in found])
    else:
        rows = [
            (
                one.expectation.channel,
                one.expectation.question,
                _wanted(one),
                one.found or "–",
                _mark(one.met),
            )
            for one in found
        ]
        heads = ("channel", "question", "expected", "found", "met")
        show_rows("Expected answers", heads, rows, "Nothing yet. Run: headrace expect add QUESTION")
    _refuse(sum(not one.met for one in found), "expected answers are not given.")


def _preview(project: Any, as_json: bool) -> None:
    synced, found = load_module("headrace.apps.support.regression").preview(project)
    if as_json:
        sides = [
            {"before": d.before.to_json(), "after": d.after.to_json(), "broken": d.broken} for d in found
        ]
        show_json({"documents": load("tables").to_json(synced), "differences": sides})
    else:
        say(f"Would be: {synced.added:,} added, {synced.changed:,} changed, {synced.removed:,} removed.")
        rows = [
            (d.before.expectation.question, _said(d.before), _said(d.after), _mark(d.after.met))
            for d in found
            if d.changed
        ]
        heads = ("question", "now", "then", "met")
        show_rows("Answers that change", heads, rows, "No expected answer changes.")
        note("Let them: headrace knowledge sync")
    _refuse(sum(d.broken for d in found), "expected answers would break.")


def _wanted(one: Any) -> str:
    return str(one.expectation.intent or one.expectation.document)


def _said(one: Any) -> str:
    return f"{one.found}: {one.text[:60]}" if one.found else "–"


def _mark(met: bool) -> str:
    return "yes" if met else "no"


def _refuse(count: int, said: str) -> None:
    if count:
        raise InputError(f"{count} {said}", cure="Correct the documents, or what is expected.")
