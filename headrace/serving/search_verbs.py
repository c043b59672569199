"""The verbs of a project that find passages: methods of `headrace.Project`."""

from __future__ import annotations

from headrace.data.open_project import OpenProject
from headrace.errors import InputError
from headrace.recipe import Recipe
from headrace.serving.answerer import wrong_with
from headrace.serving.searcher import Searched, Searcher


class SearchVerbs:
    """What may answer a question."""

    def search(self: OpenProject, text: str, channel: str, limit: int = 5) -> Searched:
        """The passages most likely to answer `text` in a channel, at most `limit`, best first.

        By the task that `support.search` names, else the channel's only one that finds passages; by exact words
        where there is none, or nothing of it is released. Nothing is stored. Raises NotFound, InputError.
        """
        self.recipe.channel(channel)
        wrong = wrong_with(text)
        if wrong or limit < 1:
            said = f"it {wrong}" if wrong else f"{limit} passages are none"
            raise InputError(f"{said}.", field="text" if wrong else "limit")
        searcher = _searcher(self)
        return searcher.search(text, task=search_task(self.recipe, channel), channel=channel, limit=limit)


def search_task(recipe: Recipe, channel: str) -> str | None:
    """The task that finds passages in a channel; None where no task does, or several might."""
    if recipe.support.search is not None:
        return recipe.support.search
    found = [name for name in recipe.channels[channel].tasks if recipe.task(name).kind == "embed"]
    return found[0] if len(found) == 1 else None


def _searcher(project: OpenProject) -> Searcher:
    """One for as long as the recipe stays as it is: it keeps the passages in memory."""
    known = project.__dict__.get("_searcher")
    if not isinstance(known, Searcher) or known.recipe is not project.recipe:
        known = Searcher(project.store, project.recipe, threads=project.recipe.serve.threads)
        project.__dict__["_searcher"] = known
    return known
