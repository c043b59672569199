"""An adapter on held-out rows, by the graph that will serve it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.evaluation.compare import Outcomes
from headrace.evaluation.judgement import Judgement, judge
from headrace.flywheel.trainer import Progress, counting
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Report, content_id
from headrace.serving.engine import Engine
from headrace.store import Store


@dataclass(frozen=True)
class Judged:
    """An adapter on the held-out rows of one channel."""

    adapter: Adapter
    outcomes: Outcomes
    judgement: Judgement

    @property
    def rows(self) -> str:
        """A digest of the held-out rows and their labels."""
        said = "\x1f".join(map("\x1e".join, zip(self.outcomes.rows, self.outcomes.gold, strict=True)))
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Bench:
    """Judges adapters of one project and writes the reports."""

    def __init__(
        self, store: Store, recipe: Recipe, engine: Engine, *, clock: Clock, progress: Progress
    ) -> None:
        self.store, self.recipe, self.engine = store, recipe, engine
        self.clock, self.progress = clock, progress

    def judge(self, adapter: Adapter, channels: Sequence[str]) -> dict[str, Judged]:
        """Judge an adapter on the held-out rows of each channel, by the graph that will serve it.

        Writes a Report for each channel that has held-out rows.
        """
        files = {name: self.store.artifacts.path(digest) for name, digest in adapter.files.items()}
        judged: dict[str, Judged] = {}
        for channel in channels:
            held = self.store.examples.of(adapter.task, [channel], ["test"])
            # Corrections are rows that the serving adapter got wrong: judging by them would favour any other.
            rows = [row for row in held if row.origin != "feedback"]
            texts, gold = [row.text for row in rows], [row.label for row in rows]
            scores = self.engine.scores(
                files,
                texts,
                digests=adapter.files,
                progress=counting(self.progress, f"judging {channel}", len(rows)),
            )
            outcomes = Outcomes.of(adapter.id, [row.id for row in rows], gold, scores, adapter.labels)
            judgement = judge(scores, gold, adapter.labels, seed=self.recipe.seed)
            judged[channel] = Judged(adapter, outcomes, judgement)
            if rows:
                self._report(judged[channel], channel)
        return judged

    def _report(self, judged: Judged, channel: str) -> None:
        figures = {**judged.judgement.to_json(), "rows": judged.rows}
        name = content_id("rep", judged.adapter.id, channel, judged.rows)
        self.store.history.add(
            Report(name, judged.adapter.id, judged.adapter.task, channel, figures, self.clock())
        )
