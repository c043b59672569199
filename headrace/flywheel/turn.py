"""One turn: anything new? train, judge, release, report. The only module that knows the order.

Every step is idempotent: feedback is absorbed once, an adapter is trained once for the same examples and
recipe (its key), an adapter that serves already is not released again. So a turn that was killed is continued
by running it again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from headrace.data.clean import Cleaned, clean
from headrace.data.corrections import Absorbed, absorb_feedback
from headrace.errors import TrainingError
from headrace.evaluation.compare import Outcomes
from headrace.evaluation.judgement import Judgement
from headrace.flywheel.judging import Bench, Judged
from headrace.flywheel.trainer import Progress, Trainer
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Event, Example, IdMaker, content_id
from headrace.release.gate import Decision, decide, decide_shared, prefer_own
from headrace.release.promote import promote, refuse
from headrace.serving.engine import Engine
from headrace.store import Store, TurnState
from headrace.store.lock import only_one

ROLLED_BACK = "Not released: it was rolled back here. To take it up again: headrace release."
NO_NEWS = "Nothing new: the examples, the recipe and the held-out rows are what they were."
SERVES = "Nothing new: this adapter serves there already."


@dataclass(frozen=True)
class PairTurn:
    """What a turn did for one (task, channel); `before` is the judgement of what served until then."""

    task: str
    channel: str
    message: str
    released: bool
    challenger: Adapter | None = None
    before: Judgement | None = None
    after: Judgement | None = None


@dataclass(frozen=True)
class Turn:
    """One turn as it ended."""

    id: str
    absorbed: Absorbed
    cleaned: Cleaned
    pairs: tuple[PairTurn, ...] = field(default_factory=tuple)


class Flywheel:
    """Trains, judges and releases for one project; `folder` holds the recipe, the store and the caches."""

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        folder: Path,
        *,
        clock: Clock,
        ids: IdMaker,
        progress: Progress | None = None,
    ) -> None:
        self.store, self.recipe, self.folder = store, recipe, folder
        self.clock, self.ids = clock, ids
        self.progress: Progress = progress or (lambda stage, done, total: None)
        engine = Engine(remembered=20_000, threads=min(2, os.cpu_count() or 1))
        self._trainer = Trainer(
            store, recipe, engine, folder / ".cache", clock=clock, progress=self._report_progress
        )
        self._bench = Bench(store, recipe, engine, clock=clock, progress=self._report_progress)

    def turn(self) -> Turn:
        """One turn over every task; raises StoreBusy where another is running."""
        with only_one(self.store.database, self.folder, "turn"):
            state = self.store.turns.open() or self._begin()
            absorbed = absorb_feedback(self.store, self.recipe, clock=self.clock)
            cleaned = clean(self.store, self.recipe, clock=self.clock)
            pairs = [pair for task in self.recipe.tasks for pair in self._turn_task(task)]
            self._finish(state, pairs)
        return Turn(state.id, absorbed, cleaned, tuple(pairs))

    def train(
        self,
        task: str,
        channel: str | None = None,
        *,
        examples: Sequence[Example] | None = None,
        start: Adapter | None = None,
        seed: int | None = None,
    ) -> Adapter:
        """Train the shared adapter of a task (`channel` None) or a channel's own, started from `start`.

        The same examples, recipe, seed and start give the adapter that is there already. Raises TrainingError
        where nothing can be learned, MissingExtra without headrace[train].
        """
        found = self._examples(task, channel) if examples is None else examples
        return self._trainer.train(task, channel, examples=found, start=start, seed=seed)

    def judge(self, adapter: Adapter, channels: Sequence[str]) -> dict[str, Judged]:
        """Judge an adapter on the held-out rows of each channel, by the graph that will serve it."""
        return self._bench.judge(adapter, channels)

    def release(
        self, adapter: Adapter, channels: Sequence[str], *, judged: Mapping[str, Judged] | None = None
    ) -> list[PairTurn]:
        """Pass an adapter through the gate on the rows held out of `channels`; release it where it may go.

        Where it serves already nothing is done, so that a command that was cut off may be given again.
        """
        challengers = judged or self.judge(adapter, channels)
        fresh = [c for c in channels if not self._serves(adapter, c)]
        made = {pair.channel: pair for pair in self._pass(adapter, fresh, challengers)}
        return [made.get(c) or _unchanged(adapter, c, challengers[c], SERVES) for c in channels]

    def _pass(
        self, adapter: Adapter, channels: Sequence[str], challengers: Mapping[str, Judged]
    ) -> list[PairTurn]:
        if not channels:
            return []
        champions = self._champions(adapter.task, channels)
        decisions = self._decide(adapter, channels, challengers, champions)
        self._carry_out(adapter, decisions, challengers)
        return [
            PairTurn(
                adapter.task,
                c,
                decisions[c].reason,
                decisions[c].released,
                adapter,
                champions[c].judgement if c in champions else None,
                challengers[c].judgement,
            )
            for c in channels
        ]

    def _turn_task(self, task: str) -> list[PairTurn]:
        channels = self.recipe.channels_of(task)
        try:
            shared = self.train(task)
        except TrainingError as error:
            return [PairTurn(task, channel, error.message, released=False) for channel in channels]
        judged = self.judge(shared, channels)
        chosen = {c: self._own(task, c, shared, judged[c]) or judged[c] for c in channels}
        together = [c for c in channels if chosen[c].adapter.id == shared.id]
        results = self._release_new(shared, {c: chosen[c] for c in together})
        for channel in channels:
            if channel not in together:
                results += self._release_new(chosen[channel].adapter, {channel: chosen[channel]})
        return results

    def _release_new(self, adapter: Adapter, judged: Mapping[str, Judged]) -> list[PairTurn]:
        """Release where the adapter neither serves, nor was refused on the same rows, nor was rolled back."""
        back = [c for c in judged if self._rolled_back(adapter, c)]
        same = [c for c in judged if self._serves(adapter, c) or self._refused(adapter, c, judged[c])]
        same = [c for c in same if c not in back]
        fresh = [c for c in judged if c not in same and c not in back]
        results = self._pass(adapter, fresh, judged)
        results += [_unchanged(adapter, channel, judged[channel], ROLLED_BACK) for channel in back]
        return results + [_unchanged(adapter, channel, judged[channel], NO_NEWS) for channel in same]

    def _rolled_back(self, adapter: Adapter, channel: str) -> bool:
        """Whether somebody took this adapter back here: a turn does not undo what a person decided."""
        past = self.store.history.releases(adapter.task, channel, limit=1000)
        if not past or past[0].kind != "rollback":
            return False
        by_id = {release.id: release for release in past}
        before = by_id.get(past[0].previous or "")
        return before is not None and before.adapter == adapter.id

    def _refused(self, adapter: Adapter, channel: str, judged: Judged) -> bool:
        events = self.store.history.events(adapter.task, channel, limit=50)
        last = next((e.evidence for e in events if e.kind == "refused"), {})
        now = {
            "adapter": adapter.id,
            "rows": judged.rows,
            "margin_points": self.recipe.gate.margin,
            "confidence": self.recipe.gate.confidence,
        }
        return all(last.get(key) == value for key, value in now.items())

    def _own(self, task: str, channel: str, shared: Adapter, on_shared: Judged) -> Judged | None:
        """The channel's own adapter where its held-out rows say that it is better than the shared one."""
        rows = [e for e in self._examples(task, channel) if e.split == "train"]
        alone = len(self.recipe.channels_of(task)) == 1
        if not self.recipe.train.own_adapters or alone or len({row.label for row in rows}) < 2:
            return None
        try:
            trained = self.train(task, channel, start=shared)
        except TrainingError as error:
            self._note("shared adapter", task, channel, error.message, {"adapter": shared.id})
            return None
        own = self.judge(trained, [channel])[channel]
        decision = prefer_own(own.outcomes, on_shared.outcomes, confidence=self.recipe.gate.confidence)
        kind = "own adapter" if decision.released else "shared adapter"
        evidence = {"adapter": own.adapter.id, "shared": shared.id, **decision.evidence}
        self._note(kind, task, channel, decision.reason, evidence)
        return own if decision.released else None

    def _note(self, kind: str, task: str, channel: str, said: str, evidence: Mapping[str, object]) -> None:
        """Write a choice down; the same choice for the same reasons is one line, however often it is made."""
        name = content_id("evt", kind, task, channel, said, json.dumps(evidence, sort_keys=True))
        self.store.history.add(Event(name, kind, task, channel, said, evidence, self.clock()))

    def _decide(
        self,
        adapter: Adapter,
        channels: Sequence[str],
        challengers: Mapping[str, Judged],
        champions: Mapping[str, Judged],
    ) -> dict[str, Decision]:
        """One decision a channel; those where nothing serves yet begin together, on all their rows."""
        gate = self.recipe.gate
        served = [c for c in channels if c in champions]
        grew = all(_rows_of(adapter) > _rows_of(champions[c].adapter) for c in served)
        rules = {"margin_points": gate.margin, "confidence": gate.confidence}
        decisions = decide_shared(
            {c: champions[c].outcomes for c in served},
            {c: challengers[c].outcomes for c in served},
            grew=grew,
            **rules,
        )
        first = [c for c in channels if c not in champions]
        if not first:
            return decisions
        rows = reduce(Outcomes.joined, [challengers[c].outcomes for c in first])
        begin = self._joins(adapter, decisions) or decide(None, rows, grew=True, **rules)
        return decisions | dict.fromkeys(first, begin)

    def _joins(self, adapter: Adapter, decisions: Mapping[str, Decision]) -> Decision | None:
        """Whether a new channel may begin with a shared adapter: only with one that serves other channels.

        None where nothing serves the task yet, or the adapter is the channel's own.
        """
        serving = {r.adapter for r in self.store.history.serving() if r.task == adapter.task}
        if not serving or adapter.channel is not None:
            return None
        if adapter.id in serving or any(decision.released for decision in decisions.values()):
            return Decision(True, "Released: the adapter serves the task's other channels.", {})
        said = "Not released: the adapter serves no other channel of the task; what serves them answers here too."
        return Decision(False, said, {})

    def _carry_out(
        self, adapter: Adapter, decisions: Mapping[str, Decision], judged: Mapping[str, Judged]
    ) -> None:
        """Release where the gate says so, in one transaction; write the refusals down."""
        written: Any = {"clock": self.clock, "ids": self.ids}
        said = {c: {"reason": d.reason, **d.evidence} for c, d in decisions.items() if d.released}
        if said:
            promote(self.store, adapter.task, said, adapter.id, {}, **written)
        for channel, d in decisions.items():
            if not d.released:
                gate = {"margin_points": self.recipe.gate.margin, "confidence": self.recipe.gate.confidence}
                evidence = {**d.evidence, **gate, "rows": judged[channel].rows}
                refuse(self.store, adapter.task, channel, adapter.id, d.reason, evidence, **written)

    def _champions(self, task: str, channels: Sequence[str]) -> dict[str, Judged]:
        serving = {
            r.channel: r for r in self.store.history.serving() if r.task == task and r.channel in channels
        }
        return {
            channel: self.judge(self.store.history.adapter(release.adapter), [channel])[channel]
            for channel, release in serving.items()
        }

    def _serves(self, adapter: Adapter, channel: str) -> bool:
        serving = self.store.history.serving()
        return any(
            r.task == adapter.task and r.channel == channel and r.adapter == adapter.id for r in serving
        )

    def _examples(self, task: str, channel: str | None) -> list[Example]:
        names = (
            [channel]
            if channel
            else [c for c in self.recipe.channels_of(task) if self.recipe.channels[c].share]
        )
        return self.store.examples.of(task, names, ["train", "validation"])

    def _report_progress(self, stage: str, done: int, total: int) -> None:
        self.progress(stage, done, total)

    def _begin(self) -> TurnState:
        state = TurnState(self.ids("turn"), {}, self.clock())
        self.store.turns.begin(state)
        return state

    def _finish(self, state: TurnState, pairs: Sequence[PairTurn]) -> None:
        said = {f"{p.task}/{p.channel}": p.message for p in pairs}
        self.store.turns.save(state.id, said, finished=self.clock())
        released = sum(pair.released for pair in pairs)
        message = f"Turn: {released} of {len(pairs)} (task, channel) got a new release."
        self.store.history.add(Event(self.ids("evt"), "turn", None, None, message, said, self.clock()))


def _unchanged(adapter: Adapter, channel: str, judged: Judged, said: str) -> PairTurn:
    return PairTurn(adapter.task, channel, said, False, adapter, judged.judgement, judged.judgement)


def _rows_of(adapter: Adapter) -> int:
    found = adapter.lineage.get("training_rows", 0)
    return found if isinstance(found, int) else 0
