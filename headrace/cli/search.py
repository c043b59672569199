"""Search the documents in the terminal, as a channel's customers are answered from them."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.group import Verb
from headrace.cli.options import Channel, Json
from headrace.cli.output import note, show_json, show_rows
from headrace.cli.session import session, the_only

PANEL = "Customer service"
verbs = typer.Typer()
_SHOWN = 70  # letters of a passage in a line


@verbs.command(cls=Verb, rich_help_panel=PANEL)
def search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(help="The question.")],
    channel: Channel = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="So many passages at most.")] = 5,
    as_json: Json = False,
) -> None:
    """Find the passages that answer a question, as a channel may be answered.

    Passages of the channel and those of all channels, best first: `sure` is the chance that one answers, `words`
    and `meaning` are the scores behind it. Meaning counts from the first release of a task of kind embed on.
    Nothing is stored.

    Example:

        headrace search "How long does a refund take?" --channel website
        headrace search "怎么退货" --channel website --limit 3 --json
    """
    with session(ctx).project() as project:
        found = project.search(text, the_only("channel", channel, list(project.recipe.channels)), limit)
    if as_json:
        show_json(found.to_json())
        return
    rows = [
        (
            f"{100 * hit.chance:.0f} %",
            f"{hit.words:.2f}",
            f"{hit.meaning:.2f}",
            hit.passage.title[:_SHOWN],
            hit.passage.text[:_SHOWN].replace("\n", " "),
            hit.passage.id,
        )
        for hit in found.found
    ]
    heads = ("sure#", "words#", "meaning#", "title", "text", "passage")
    show_rows("Passages", heads, rows, "No passage shares a word or a meaning with it.")
    if found.because:
        note(f"The first because of the correction {found.because}.")
    if not found.adapter:
        note("By exact words alone: nothing is released that reads meaning.")
