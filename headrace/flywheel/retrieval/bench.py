"""An adapter of the embed task on unseen questions, by the graph and the ranking that will serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.data.progress import Progress
from headrace.evaluation.calibration import calibration_error, reliability
from headrace.evaluation.compare import Outcomes
from headrace.evaluation.intervals import bootstrap, wilson
from headrace.evaluation.judgement import Judgement
from headrace.evaluation.metrics import macro_f1
from headrace.flywheel.judging.bench import Judged
from headrace.flywheel.judging.heldout import Case
from headrace.flywheel.retrieval.asking import Asking, Ranked
from headrace.flywheel.retrieval.pairs import judging, pairs_of
from headrace.knowledge.rerank import RERANK_FILE
from headrace.models.delta import CONFIG_FILE, WEIGHTS_FILE
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Example, Report, content_id
from headrace.release.floors import Shown
from headrace.serving.search_adapter import opened
from headrace.store import Store

TOP = (1, 3)
_OWN = (RERANK_FILE, CONFIG_FILE, WEIGHTS_FILE)


class SearchBench:
    """Judges adapters of the embed tasks of one project and writes the reports."""

    def __init__(self, store: Store, recipe: Recipe, *, clock: Clock, progress: Progress) -> None:
        self.store, self.recipe, self.clock, self.progress = store, recipe, clock, progress

    def judge(
        self, adapter: Adapter, channels: Sequence[str], *, cases: Mapping[str, Case] | None = None
    ) -> dict[str, Judged]:
        """Judge an adapter on the questions of each channel; `cases` are those of another one's judgement.

        An answer is the passage put first. Writes a Report for each channel that has questions, with the recall
        among the first and the first three, and the mean reciprocal rank. Raises ArtifactError, StoreError.
        """
        given = cases or {}
        pairs = pairs_of(self.store, self.recipe, adapter.task) if len(given) < len(channels) else []
        open_ = opened(self.store, adapter)
        found = {}
        for number, channel in enumerate(channels):
            self.progress(f"judging {channel}", number, len(channels))
            case = given.get(channel) or Case(tuple(judging(pairs, channel)), ())
            asking = Asking(open_, self.store.documents.passages(channel))
            ranked = asking.ranked(case.held, open_.reranker)
            found[channel] = self._judged(adapter, channel, case, ranked)
        return found

    def _judged(self, adapter: Adapter, channel: str, case: Case, ranked: Sequence[Ranked]) -> Judged:
        judgement = _judgement(ranked, case.held, self.recipe.seed)
        outcomes = _outcomes(adapter, case.held, ranked)
        nobody = _outcomes(adapter, (), ())
        sure = np.array([one.chance for one in ranked], np.float64)
        size = sum(len(self.store.artifacts.get(adapter.files[n])) for n in _OWN if n in adapter.files)
        judged = Judged(adapter, judgement, Shown(outcomes, nobody, nobody, sure, size=size), case)
        if case.held:
            figures = {**judgement.to_json(), **recalls(ranked, self.recipe.seed), "rows": judged.rows}
            name = content_id("rep", adapter.id, channel, judged.rows)
            self.store.history.add(Report(name, adapter.id, adapter.task, channel, figures, self.clock()))
        return judged


def recalls(ranked: Sequence[Ranked], seed: int) -> dict[str, object]:
    """The share of questions whose passage is among the first one and three, and the mean reciprocal rank."""
    ranks = np.array([one.rank for one in ranked], np.int64)
    found: dict[str, object] = {
        f"recall@{top}": wilson(int((ranks <= top).sum()), len(ranks)).to_json() for top in TOP
    }
    inverse = 1 / np.maximum(ranks, 1)
    found["mrr"] = bootstrap(lambda rows: float(inverse[rows].mean()), len(ranks), seed=seed).to_json()
    return found


def _outcomes(adapter: Adapter, held: Sequence[Example], ranked: Sequence[Ranked]) -> Outcomes:
    gold = tuple(pair.label for pair in held)
    return Outcomes(adapter.id, tuple(pair.id for pair in held), gold, tuple(one.first for one in ranked))


def _judgement(ranked: Sequence[Ranked], held: Sequence[Example], seed: int) -> Judgement:
    """The figures as of any task, but for those by label: there are as many as passages."""
    numbers: dict[str, int] = {}
    gold, first = (
        np.array([numbers.setdefault(name, len(numbers)) for name in names], np.intp)
        for names in ([pair.label for pair in held], [one.first for one in ranked])
    )
    right, sure = gold == first, np.array([one.chance for one in ranked], np.float64)

    def macro(rows: NDArray[np.intp]) -> float:
        return macro_f1(gold[rows], first[rows], len(numbers))

    return Judgement(
        n=len(held),
        unknown=0,
        accuracy=wilson(int(right.sum()), len(held)),
        macro_f1=bootstrap(macro, len(held), seed=seed),
        calibration_error=calibration_error(sure, right, seed=seed, resamples=1000),
        classes=(),
        confusion=(),
        reliability=reliability(sure, right),
    )
