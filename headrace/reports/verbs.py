"""The verbs of a project that only look: methods of `headrace.Project`."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.data.open_project import OpenProject
from headrace.records import Adapter
from headrace.reports.status import TurnsStatus, turns_status
from headrace.reports.trace import Floats, Trace, trace
from headrace.serving.engine import Engine


class ReportVerbs:
    """What a project tells of its turns and of its answers."""

    def trace(self: OpenProject, answer: str) -> Trace:
        """Why an answer was given, since when, and taught by whom; raises NotFound."""
        engine, store = Engine(threads=self.recipe.serve.threads), self.store

        def embed(adapter: Adapter, texts: Sequence[str]) -> Floats:
            files = {name: store.artifacts.path(digest) for name, digest in adapter.files.items()}
            return engine.trial(files, texts, digests=adapter.files)[0]

        return trace(store, self.recipe, answer, embed)

    def turns(self: OpenProject) -> TurnsStatus:
        """What the last turn did, whether one is open, and when the next one is due."""
        return turns_status(self.store, self.folder)
