"""What the owner expects to be answered, asked of the adapter that serves and of its challenger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.data.expectations import Expectation, expectations
from headrace.flywheel.judging.bench import Judged
from headrace.flywheel.retrieval.asking import first_passages
from headrace.recipe import Recipe
from headrace.records import Adapter
from headrace.release.floors import Check
from headrace.serving.engine import Engine
from headrace.serving.search_adapter import opened
from headrace.store import Store

_TOLD = 10
"""Questions that a check names at most."""


class Expecting:
    """Tries expectations on adapters; those of an intent on label tasks, those of a document on embed tasks."""

    def __init__(self, store: Store, recipe: Recipe, engine: Engine, folder: Path) -> None:
        self._store, self._recipe, self._engine, self._folder = store, recipe, engine, folder

    def checks(self, champions: Mapping[str, Judged], challenger: Adapter) -> dict[str, Sequence[Check]]:
        """A check a channel that a champion serves and of which something is expected."""
        found: dict[str, Sequence[Check]] = {}
        wanted = self._of(challenger.task)
        for channel, champion in champions.items():
            asked = [one for one in wanted if one.channel == channel]
            if asked and champion.adapter.id != challenger.id:
                found[channel] = [self._check(asked, champion.adapter, challenger, channel)]
        return found

    def met(self, asked: Sequence[Expectation], adapter: Adapter, channel: str) -> list[bool]:
        """Which expectations an adapter meets."""
        if self._recipe.task(adapter.task).kind == "embed":
            return self._met_by_passages(asked, adapter, channel)
        files = {name: self._store.artifacts.path(digest) for name, digest in adapter.files.items()}
        scores = self._engine.scores(files, [one.question for one in asked], digests=adapter.files)
        return [
            adapter.labels[int(row.argmax())] == one.intent for one, row in zip(asked, scores, strict=True)
        ]

    def _of(self, task: str) -> list[Expectation]:
        if self._recipe.task(task).kind == "embed":
            return [one for one in expectations(self._folder) if one.document]
        labels = [one for one in expectations(self._folder) if one.intent]
        return labels if task == (self._recipe.support.intent or task) else []

    def _check(self, asked: Sequence[Expectation], old: Adapter, new: Adapter, channel: str) -> Check:
        before, after = (self.met(asked, adapter, channel) for adapter in (old, new))
        sides = list(zip(asked, before, after, strict=True))
        broke = [one.question for one, was, now in sides if was and not now]
        figures = {
            "n": len(asked),
            "lost": len(broke),
            "won": sum(now and not was for _, was, now in sides),
            "limit": self._recipe.gate.expected,
            "questions": broke[:_TOLD],
        }
        return Check("expected", len(broke) <= self._recipe.gate.expected, figures)

    def _met_by_passages(self, asked: Sequence[Expectation], adapter: Adapter, channel: str) -> list[bool]:
        open_ = opened(self._store, adapter)
        passages = self._store.documents.passages(channel)
        first = first_passages(open_, passages, [one.question for one in asked])
        return [
            passage is not None and one.names(self._store.documents.get(passage.document))
            for one, passage in zip(asked, first, strict=True)
        ]
