"""The verbs of a project that only look: methods of `headrace.Project`."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.data.open_project import OpenProject
from headrace.records import Adapter, Answer, Report
from headrace.reports.status import TurnsStatus, turns_status
from headrace.reports.trace import Floats, Trace, trace
from headrace.serving.engine import Engine
from headrace.serving.search_adapter import embeddings


class ReportVerbs:
    """What a project tells of its turns and of its answers."""

    def trace(self: OpenProject, answer: str) -> Trace:
        """Why an answer was given, since when, and taught by whom; raises NotFound."""
        engine, store = Engine(threads=self.recipe.serve.threads), self.store

        def embed(adapter: Adapter, texts: Sequence[str]) -> Floats:
            return embeddings(store, engine, adapter, texts)

        return trace(store, self.recipe, answer, embed)

    def turns(self: OpenProject) -> TurnsStatus:
        """What the last turn did, whether one is open, and when the next one is due."""
        return turns_status(self.store, self.folder)

    def answers(
        self: OpenProject, *, task: str | None = None, channel: str | None = None, limit: int = 50
    ) -> list[Answer]:
        """The answers that were given last, newest first."""
        return self.store.answers.latest(task, channel, limit)

    def adapters(self: OpenProject, task: str | None = None) -> list[Adapter]:
        """Adapters, newest first."""
        return self.store.history.adapters(task)

    def reports(self: OpenProject, adapter: str) -> list[Report]:
        """What an adapter scored, newest first; one for each channel and each set of held-out rows."""
        return self.store.history.reports(adapter)
