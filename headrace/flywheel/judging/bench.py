"""An adapter on held-out and golden rows, by the graph that will serve it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headrace.data.progress import Progress
from headrace.evaluation.compare import Outcomes
from headrace.evaluation.judgement import Judgement, judge
from headrace.flywheel.judging.heldout import Case, case_of
from headrace.flywheel.judging.slices import slices_of
from headrace.flywheel.training.trainer import counting
from headrace.models.adapter import HEAD_FILE
from headrace.models.delta import CONFIG_FILE, WEIGHTS_FILE
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Report, content_id
from headrace.release.floors import Shown
from headrace.serving.engine import Engine
from headrace.serving.weights import Array
from headrace.serving.work import row_work
from headrace.store import Store


@dataclass(frozen=True)
class Judged:
    """An adapter on the rows of one channel: `judgement` on the held-out ones, `shown` for the gate."""

    adapter: Adapter
    judgement: Judgement
    shown: Shown
    case: Case

    @property
    def outcomes(self) -> Outcomes:
        """What it answered on the held-out rows."""
        return self.shown.outcomes

    @property
    def rows(self) -> str:
        """A digest of the rows and their labels."""
        return self.case.digest


class Bench:
    """Judges adapters of one project and writes the reports."""

    def __init__(
        self, store: Store, recipe: Recipe, engine: Engine, *, clock: Clock, progress: Progress
    ) -> None:
        self.store, self.recipe, self.engine = store, recipe, engine
        self.clock, self.progress = clock, progress

    def judge(
        self,
        adapter: Adapter,
        channels: Sequence[str],
        *,
        cases: Mapping[str, Case] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Judged]:
        """Judge an adapter on the rows of each channel, by the graph that will serve it.

        `cases` names the rows where another adapter was judged by them before. `names` are other names of its
        labels: the chances of labels that have one name are summed. Writes a Report for each channel that has
        held-out rows.
        """
        given, shared, judged = cases or {}, adapter.channel is None, dict[str, Judged]()
        for channel in channels:
            case = given.get(channel) or case_of(
                self.store, self.recipe, adapter.task, channel, shared=shared
            )
            judged[channel] = self._judge(adapter, channel, case, names or {})
            if case.held:
                self._report(judged[channel], channel)
        return judged

    def _judge(self, adapter: Adapter, channel: str, case: Case, names: Mapping[str, str]) -> Judged:
        rows, held = (*case.held, *case.golden), len(case.held)
        files = {name: self.store.artifacts.path(digest) for name, digest in adapter.files.items()}
        texts = [row.text for row in rows]
        scores = self.engine.scores(
            files,
            texts,
            digests=adapter.files,
            progress=counting(self.progress, f"judging {channel}", len(rows)),
        )
        scores, labels = _summed(scores, adapter.labels, names)
        gold = [row.label for row in case.held]
        judgement = judge(scores[:held], gold, labels, seed=self.recipe.seed)
        shown = replace(
            self._shown(replace(adapter, labels=labels), case, scores),
            size=_size(files),
            work=row_work(self.engine, files, adapter.files, texts),
        )
        return Judged(adapter, judgement, shown, case)

    def _shown(self, adapter: Adapter, case: Case, scores: Array) -> Shown:
        rows, held = (*case.held, *case.golden), len(case.held)

        def outcomes(places: Sequence[int]) -> Outcomes:
            some = [rows[place] for place in places]
            ids, gold = [row.id for row in some], [row.label for row in some]
            return Outcomes.of(adapter.id, ids, gold, scores[list(places)], adapter.labels)

        watched = case.watched()
        sources = self.store.rows.sources(case.ids)
        return Shown(
            outcomes(range(held)),
            outcomes(range(held, len(rows))),
            outcomes(watched),
            scores[:held].max(axis=1).astype(np.float64) if held else np.zeros(0),
            slices_of([rows[place] for place in watched], sources),
        )

    def _report(self, judged: Judged, channel: str) -> None:
        figures = {**judged.judgement.to_json(), "rows": judged.rows, "decisions": judged.case.served}
        name = content_id("rep", judged.adapter.id, channel, judged.rows)
        self.store.history.add(
            Report(name, judged.adapter.id, judged.adapter.task, channel, figures, self.clock())
        )


def _summed(
    scores: Array, labels: tuple[str, ...], names: Mapping[str, str]
) -> tuple[Array, tuple[str, ...]]:
    """Probabilities [n, K] over labels by their other names, each once."""
    now = [names.get(label, label) for label in labels]
    kept = tuple(dict.fromkeys(now))
    if kept == labels:
        return scores, labels
    summed = np.zeros((len(scores), len(kept)), np.float32)
    for place, label in enumerate(now):
        summed[:, kept.index(label)] += scores[:, place]
    return summed, kept


def _size(files: Mapping[str, Path]) -> int:
    """Bytes of an adapter's own files; the graph is the base's."""
    own = [files[name] for name in (HEAD_FILE, CONFIG_FILE, WEIGHTS_FILE) if name in files]
    return sum(file.stat().st_size for file in own)
