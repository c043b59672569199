"""The successors of the adapters that serve, with a label changed: made, judged and released.

Another name changes no score, so its adapter needs no gate. What was fitted passes it, on rows of the labels
that both know, with old names read as the new one; where those rows are too few to tell and do not speak
against it, the owner's word decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.data.progress import Progress
from headrace.errors import TrainingError
from headrace.flywheel.judging.bench import Bench, Judged
from headrace.flywheel.judging.heldout import Case, case_of
from headrace.flywheel.labels.deriving import Change, Maker
from headrace.flywheel.trials.opening import Opening
from headrace.flywheel.turn import PairTurn
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Example, IdMaker
from headrace.release.floors import checks_of
from headrace.release.gate import Decision, decide
from headrace.release.promote import promote, refuse
from headrace.serving.engine import Engine
from headrace.store import Store


@dataclass(frozen=True)
class _Target:
    """An adapter that serves, whose the successor will be (None: the task's shared one), and where it goes."""

    start: Adapter
    channel: str | None
    channels: tuple[str, ...]


class Successors:
    """Makes, judges and releases them for one project; `cache` holds frozen features."""

    def __init__(
        self, store: Store, recipe: Recipe, cache: Path, *, clock: Clock, ids: IdMaker, progress: Progress
    ) -> None:
        self.store, self.recipe = store, recipe
        self.clock, self.ids, self.progress = clock, ids, progress
        self._maker = Maker(store, recipe, cache, clock=clock, progress=progress)
        engine = Engine(remembered=20_000, threads=min(2, os.cpu_count() or 1))
        self._bench = Bench(store, recipe, engine, clock=clock, progress=progress)

    def of(self, change: Change, serving: Sequence[tuple[Adapter, tuple[str, ...]]]) -> list[PairTurn]:
        """A successor for every adapter that serves and that the change concerns; what became of each."""
        pairs: list[PairTurn] = []
        for target in self._targets(change, serving):
            try:
                rows = self._rows(change.task, target.channel)
                made = self._maker.make(change, target.start, target.channel, rows)
            except TrainingError as error:
                pairs += [PairTurn(change.task, c, error.message, released=False) for c in target.channels]
                continue
            pairs += [self._release(change, target.start, made, channel) for channel in target.channels]
        return pairs

    def _targets(
        self, change: Change, serving: Sequence[tuple[Adapter, tuple[str, ...]]]
    ) -> Iterator[_Target]:
        """Where only channels that do not share have the label, each of them gets an adapter of its own."""
        for adapter, channels in serving:
            new = change.kind == "added" and change.label not in adapter.labels
            if not new and not set(change.replaced) & set(adapter.labels):
                continue
            if change.kind == "renamed" or adapter.channel or self._has(change, None):
                yield _Target(adapter, adapter.channel, channels)
            else:
                yield from (_Target(adapter, c, (c,)) for c in channels if self._has(change, c))

    def _has(self, change: Change, channel: str | None) -> bool:
        return any(row.label == change.label for row in self._rows(change.task, channel))

    def _rows(self, task: str, channel: str | None) -> list[Example]:
        """What may teach: rows of the channels that share, and a channel's own rows its own adapter."""
        names = [c for c in self.recipe.channels_of(task) if self.recipe.channels[c].share or c == channel]
        rows = self.store.examples.of(task, names, ["train", "validation"])
        return [row for row in rows if not row.golden]

    def _release(self, change: Change, start: Adapter, made: Adapter, channel: str) -> PairTurn:
        """Release it where it may go; else write down why not, and what serves stays."""
        case = case_of(self.store, self.recipe, change.task, channel, shared=made.channel is None)
        if change.kind == "added":
            case = _without(case, change.label)
        judged = self._bench.judge(made, [channel], cases={channel: case})[channel]
        said = f"Released: {change.told()}; every score stays as it was."
        decision = Decision(True, said, {})
        if change.kind != "renamed":
            decision = self._decided(change, start, channel, judged)
        evidence = {**decision.evidence, "reason": decision.reason, "labels": change.evidence}
        held = () if change.kind == "renamed" else case.ids
        written_by: Any = {"clock": self.clock, "ids": self.ids}
        if decision.released:
            # No watch: the last adapter knows the old names alone, so it would differ on every such row.
            over = Opening(self.store, self.recipe, **written_by).over_in
            more: Any = {"held_out": {channel: held}, "also": over, **written_by}
            promote(self.store, change.task, [channel], made.id, evidence, **more)
        else:
            args = (change.task, channel, made.id, decision.reason, {**evidence, "rows": judged.rows})
            refuse(self.store, *args, held_out=held, **written_by)
        return PairTurn(
            change.task, channel, decision.reason, decision.released, made, None, judged.judgement
        )

    def _decided(self, change: Change, start: Adapter, channel: str, judged: Judged) -> Decision:
        gate = self.recipe.gate
        champion = self._bench.judge(start, [channel], cases={channel: judged.case}, names=change.names)[
            channel
        ]
        decision = decide(
            champion.outcomes,
            judged.outcomes,
            margin_points=gate.margin,
            confidence=gate.confidence,
            grew=True,
            checks=checks_of(gate, champion.shown, judged.shown, seed=self.recipe.seed),
        )
        rows = len(judged.outcomes.rows)
        right = [int(side.outcomes.right.sum()) for side in (champion, judged)]
        lost = 100 * (right[0] - right[1]) > gate.margin * rows
        if decision.evidence["verdict"] not in ("too-few", "no-rows") or lost or _failed(decision):
            return decision
        said = (
            f"Released: {change.told()}; of {rows} held-out rows, too few to tell more, it answers {right[1]}"
            f" right, the serving one {right[0]}."
        )
        return Decision(True, said, {**decision.evidence, "verdict": "owner"})


def _without(case: Case, label: str) -> Case:
    """The case without the rows of a label."""
    held, golden = (tuple(r for r in rows if r.label != label) for rows in (case.held, case.golden))
    return replace(case, held=held, golden=golden)


def _failed(decision: Decision) -> bool:
    """Whether a check beside the margin failed."""
    checks: Any = decision.evidence.get("checks", ())
    return any(not check["passed"] for check in checks[1:])
