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
from pathlib import Path
from typing import Any

from headrace.data.clean import Cleaned, clean
from headrace.data.corrections import Absorbed, absorb_feedback
from headrace.data.progress import Progress
from headrace.errors import TrainingError
from headrace.evaluation.drift import Floats
from headrace.evaluation.judgement import Judgement
from headrace.flywheel.judging.bench import Bench, Judged
from headrace.flywheel.judging.deciding import decide_first, decide_served
from headrace.flywheel.judging.expected import Expecting
from headrace.flywheel.judging.heldout import Case, retire
from headrace.flywheel.reporting.telling import LEARNING, Telling, Works, begin, failed
from headrace.flywheel.retrieval.bench import SearchBench
from headrace.flywheel.retrieval.trainer import SearchTrainer
from headrace.flywheel.training.beginning import beginning
from headrace.flywheel.training.trainer import Trainer
from headrace.flywheel.trials.carry_out import carry_out
from headrace.flywheel.trials.prover import Prover
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Event, Example, IdMaker, content_id
from headrace.release.gate import Decision, prefer_own
from headrace.reports.alerts import news, tell
from headrace.reports.turns import Decided, TurnReport
from headrace.serving.engine import Engine
from headrace.serving.search_adapter import embeddings
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
    report: TurnReport | None = None


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
        self.prover = Prover(store, recipe, clock=clock, ids=ids)
        self._works = Works()
        self._bench = Bench(store, recipe, engine, clock=clock, progress=self._report_progress)
        self._expecting = Expecting(store, recipe, engine, folder)
        told: Any = {"clock": clock, "progress": self._report_progress}
        self._search_trainer = SearchTrainer(store, recipe, folder / ".cache", **told)
        self._search_bench = SearchBench(store, recipe, **told)

    def turn(self) -> Turn:
        """One turn over every task, told and stored; raises AlreadyRunning where one is under way."""
        with only_one(self.store.database, self.folder, "turn"):
            try:
                made, report = self._turn()
            except Exception as error:
                failed(self.store, self.recipe, error, self.clock)
                raise
        tell(self.recipe, news(report))
        return made

    def _turn(self) -> tuple[Turn, TurnReport]:
        under_way = self.store.turns.open()
        state = under_way or begin(self.store, self.clock, self.ids)
        told = self._telling(state, continued=under_way is not None)
        self._works.clear()
        self.prover.step()
        with told.stage("feedback"):
            absorbed = absorb_feedback(self.store, self.recipe, clock=self.clock)
        with told.stage("rows"):
            cleaned = clean(self.store, self.recipe, clock=self.clock)
            if under_way is None:
                self._retire()
        told.taken_in()
        with told.stage(LEARNING):
            pairs = [pair for task in self.recipe.tasks for pair in self._turn_task(task)]
        report = self._finish(state, pairs, told)
        return Turn(state.id, absorbed, cleaned, tuple(pairs), report), report

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

        A shared one of the task's own examples begins from the one that serves, where `beginning` says so. The
        same examples, recipe, seed and start give the adapter that is there already. Raises TrainingError where
        nothing can be learned, MissingExtra without headrace[train].
        """
        if self._searches(task):
            with self._works.of("training"):
                return self._search_trainer.train(task)
        found, again = self._examples(task, channel) if examples is None else examples, False
        if channel is None and start is None and examples is None and seed is None:
            begins = beginning(self.store, self.recipe, task, found)
            if begins is not None and begins.same:
                return begins.adapter
            start, again = (begins.adapter, True) if begins else (None, False)
        with self._works.of("training"):
            return self._trainer.train(task, channel, examples=found, start=start, seed=seed, again=again)

    def judge(self, adapter: Adapter, channels: Sequence[str]) -> dict[str, Judged]:
        """Judge an adapter on the held-out rows of each channel, by the graph that will serve it."""
        with self._works.of("judging"):
            return self._judged(adapter, channels)

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
        champions = self._champions(adapter.task, channels, challengers)
        decisions = self._decide(adapter, channels, challengers, champions)
        on_trial = carry_out(self.prover, adapter, decisions, challengers, champions)
        return [
            PairTurn(
                adapter.task,
                c,
                on_trial.get(c, decisions[c].reason),
                decisions[c].released and c not in on_trial,
                adapter,
                champions[c].judgement if c in champions else None,
                challengers[c].judgement,
            )
            for c in channels
        ]

    def _retire(self) -> None:
        """Let held-out rows that have served enough decisions train."""
        for task in self.recipe.tasks:
            retire(self.store, self.recipe, task, clock=self.clock, ids=self.ids)

    def _turn_task(self, task: str) -> list[PairTurn]:
        channels = self.recipe.channels_of(task)
        try:
            shared = self.train(task)
        except TrainingError as error:
            return [PairTurn(task, channel, error.message, released=False) for channel in channels]
        judged = self.judge(shared, channels)
        if self._searches(task):
            return self._release_new(shared, judged)
        self._train_own(task, channels, shared)
        chosen = {c: self._own(task, c, shared, judged[c]) or judged[c] for c in channels}
        together = [c for c in channels if chosen[c].adapter.id == shared.id]
        results = self._release_new(shared, {c: chosen[c] for c in together})
        for channel in channels:
            if channel not in together:
                results += self._release_new(chosen[channel].adapter, {channel: chosen[channel]})
        return results

    def _release_new(self, adapter: Adapter, judged: Mapping[str, Judged]) -> list[PairTurn]:
        """Release where the adapter neither serves, nor was refused on the same rows, tried, or rolled back."""
        back = [c for c in judged if self._rolled_back(adapter, c)]
        same = [c for c in judged if self._serves(adapter, c) or self._refused(adapter, c, judged[c])]
        same = [c for c in same if c not in back]
        tried = {c: self.prover.tried(adapter.task, c, adapter.id) for c in judged}
        tried = {c: said for c, said in tried.items() if said and c not in same and c not in back}
        fresh = [c for c in judged if c not in same and c not in back and c not in tried]
        results = self._pass(adapter, fresh, judged)
        results += [_unchanged(adapter, channel, judged[channel], tried[channel]) for channel in tried]
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
        now = {"adapter": adapter.id, "rows": judged.rows, "gate": self.recipe.gate.model_dump(mode="json")}
        return all(last.get(key) == value for key, value in now.items())

    def _train_own(self, task: str, channels: Sequence[str], shared: Adapter) -> None:
        """Train side by side what pays so; `_own` finds it then, and trains what is still missing."""
        each = ((channel, self._examples(task, channel)) for channel in channels)
        mine = ((channel, examples) for channel, examples in each if self._may_own(task, examples))
        with self._works.of("training"):
            lost = self._trainer.train_side_by_side(task, mine, len(channels), start=shared)
        if lost:
            said = f"{lost}; what it left is trained one after another."
            self.store.history.add(Event(self.ids("evt"), "training", task, None, said, {}, self.clock()))

    def _may_own(self, task: str, examples: Sequence[Example]) -> bool:
        """Whether a channel with these examples may get an adapter of its own."""
        labels = {example.label for example in examples if example.split == "train"}
        alone = len(self.recipe.channels_of(task)) == 1
        return self.recipe.train.own_adapters and not alone and len(labels) > 1

    def _own(self, task: str, channel: str, shared: Adapter, on_shared: Judged) -> Judged | None:
        """The channel's own adapter where its held-out rows say that it is better than the shared one."""
        if not self._may_own(task, self._examples(task, channel)):
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
        served = {c: champions[c] for c in channels if c in champions}
        expected = self._expecting.checks(served, adapter)
        decisions = decide_served(self.recipe, served, challengers, expected)
        first = [c for c in channels if c not in champions]
        if not first:
            return decisions
        begin = self._joins(adapter, decisions) or decide_first(self.recipe, [challengers[c] for c in first])
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

    def _champions(
        self, task: str, channels: Sequence[str], challengers: Mapping[str, Judged]
    ) -> dict[str, Judged]:
        """What serves now, judged by the rows that judged the challengers."""
        serving = {
            r.channel: r for r in self.store.history.serving() if r.task == task and r.channel in channels
        }
        return {
            c: self._judged(self.store.history.adapter(release.adapter), [c], {c: challengers[c].case})[c]
            for c, release in serving.items()
        }

    def _judged(
        self, adapter: Adapter, channels: Sequence[str], cases: Mapping[str, Case] | None = None
    ) -> dict[str, Judged]:
        bench = self._search_bench if self._searches(adapter.task) else self._bench
        return bench.judge(adapter, channels, cases=cases)

    def _searches(self, task: str) -> bool:
        """Whether a task finds passages instead of labels."""
        return self.recipe.task(task).kind == "embed"

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

    def _telling(self, state: TurnState, *, continued: bool) -> Telling:
        def embed(adapter: Adapter, texts: Sequence[str]) -> Floats:
            return embeddings(self.store, self._bench.engine, adapter, texts)

        given: Any = {"continued": continued, "clock": self.clock, "embed": embed, "works": self._works}
        return Telling(self.store, self.recipe, state, **given)

    def _finish(self, state: TurnState, pairs: Sequence[PairTurn], told: Telling) -> TurnReport:
        said = {f"{p.task}/{p.channel}": p.message for p in pairs}
        report = told.finish([_decided(pair) for pair in pairs], said)
        released = sum(pair.released for pair in pairs)
        message = f"Turn: {released} of {len(pairs)} (task, channel) got a new release."
        self.store.history.add(Event(self.ids("evt"), "turn", None, None, message, said, self.clock()))
        return report


def _decided(pair: PairTurn) -> Decided:
    """A pair's turn as its report tells it; what an attempt that was cut off did is told by the store."""
    return Decided(
        pair.task,
        pair.channel,
        "released" if pair.released else "unchanged" if pair.challenger else "failed",
        pair.message,
        pair.challenger.id if pair.challenger else "",
        pair.before.accuracy if pair.before else None,
        pair.after.accuracy if pair.after else None,
    )


def _unchanged(adapter: Adapter, channel: str, judged: Judged, said: str) -> PairTurn:
    return PairTurn(adapter.task, channel, said, False, adapter, judged.judgement, judged.judgement)
