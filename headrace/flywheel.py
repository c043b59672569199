"""One turn: anything new? train, judge, release, report. The only module that knows the order.

Every step is idempotent: feedback is absorbed once, an adapter is trained once for the same examples and
recipe (its key), an adapter that serves already is not released again. So a turn that was killed is continued
by running it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace import plugins
from headrace.data.clean import Cleaned, clean
from headrace.data.corrections import Absorbed, absorb_feedback
from headrace.errors import TrainingError
from headrace.evaluation.compare import Outcomes
from headrace.evaluation.judgement import Judgement, judge
from headrace.feedback.radius import REFERENCES, Radius
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.base import resolve
from headrace.models.delta import CONFIG_FILE, Delta
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Event, Example, IdMaker, Release, Report, content_id
from headrace.release.gate import Decision, decide, decide_shared, prefer_own
from headrace.release.promote import promote, refuse
from headrace.serving.engine import Engine
from headrace.serving.export import export
from headrace.serving.live import RADIUS_FILE
from headrace.store import Store, TurnState
from headrace.store.lock import only_one

if TYPE_CHECKING:
    from headrace.tuning.train import Trained

Progress = Callable[[str, int, int], None]
GRAPH_FILES = ("graph.onnx", "tokenizer.json", "base.json")


@dataclass(frozen=True)
class Judged:
    """An adapter on the held-out rows of one channel."""

    adapter: Adapter
    outcomes: Outcomes
    judgement: Judgement


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
        self._engine = Engine(remembered=20_000, threads=min(2, os.cpu_count() or 1))

    @property
    def cache(self) -> Path:
        """Frozen features; deleting it costs time and nothing else."""
        return self.folder / ".cache"

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
        settings = self.recipe.task(task)
        found = list(examples if examples is not None else self._examples(task, channel))
        found = [example for example in found if not example.golden]
        seed = self.recipe.seed if seed is None else seed
        key = self._key(task, channel, found, start, seed)
        known = [a for a in self.store.history.adapters(task, channel or "") if a.lineage.get("key") == key]
        if known:
            return known[0]
        training = [example for example in found if example.split == "train"]
        weight = self.recipe.train.correction_weight
        tuning = plugins.require("headrace.tuning.train", verb="Training", extra="train")
        trained: Trained = tuning.train(
            training,
            validation=[example for example in found if example.split == "validation"],
            task=settings,
            settings=self.recipe.train,
            seed=seed,
            cache=self.cache,
            start=None if start is None else self._head(start),
            checkpoints=self.cache / "checkpoints" / key,
            progress=self.progress,
            weights=np.array([weight if e.origin == "feedback" else 1.0 for e in training], np.float32),
        )
        return self._keep(task, channel, trained, key, start, training)

    def judge(self, adapter: Adapter, channels: Sequence[str]) -> dict[str, Judged]:
        """Judge an adapter on the held-out rows of each channel, by the graph that will serve it.

        Writes a Report for each channel that has held-out rows.
        """
        files = {name: self.store.artifacts.path(digest) for name, digest in adapter.files.items()}
        judged: dict[str, Judged] = {}
        for channel in channels:
            rows = self.store.examples.of(adapter.task, [channel], ["test"])
            texts, gold = [row.text for row in rows], [row.label for row in rows]
            scores = self._engine.scores(
                files, texts, progress=self._counting(f"judging {channel}", len(rows))
            )
            outcomes = Outcomes.of(adapter.id, [row.id for row in rows], gold, scores, adapter.labels)
            judgement = judge(scores, gold, adapter.labels, seed=self.recipe.seed)
            judged[channel] = Judged(adapter, outcomes, judgement)
            if rows:
                self._report(judged[channel], channel)
        return judged

    def release(
        self, adapter: Adapter, channels: Sequence[str], *, judged: Mapping[str, Judged] | None = None
    ) -> list[PairTurn]:
        """Pass an adapter through the gate on the rows held out of `channels`; release it where it may go."""
        challengers = judged or self.judge(adapter, channels)
        champions = self._champions(adapter.task, channels)
        decisions = self._decide(adapter, channels, challengers, champions)
        self._carry_out(adapter, decisions)
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
        """Release where the adapter neither serves nor was refused on the same rows."""
        same = [c for c in judged if self._serves(adapter, c) or self._refused(adapter, c, judged[c])]
        fresh = [c for c in judged if c not in same]
        results = self.release(adapter, fresh, judged=judged) if fresh else []
        for channel in same:
            now = judged[channel].judgement
            said = "Nothing new: the examples, the recipe and the held-out rows are what they were."
            results.append(PairTurn(adapter.task, channel, said, False, adapter, now, now))
        return results

    def _refused(self, adapter: Adapter, channel: str, judged: Judged) -> bool:
        events = self.store.history.events(adapter.task, channel, limit=50)
        last = next((e.evidence for e in events if e.kind == "refused"), {})
        return last.get("adapter") == adapter.id and last.get("n") == judged.judgement.n

    def _own(self, task: str, channel: str, shared: Adapter, on_shared: Judged) -> Judged | None:
        """The channel's own adapter where its held-out rows say that it is better than the shared one."""
        rows = [e for e in self._examples(task, channel) if e.split == "train"]
        alone = len(self.recipe.channels_of(task)) == 1
        if not self.recipe.train.own_adapters or alone or len({row.label for row in rows}) < 2:
            return None
        own = self.judge(self.train(task, channel, start=shared), [channel])[channel]
        decision = prefer_own(own.outcomes, on_shared.outcomes, confidence=self.recipe.gate.confidence)
        kind = "own adapter" if decision.released else "shared adapter"
        evidence = {"adapter": own.adapter.id, **decision.evidence}
        self.store.history.add(
            Event(self.ids("evt"), kind, task, channel, decision.reason, evidence, self.clock())
        )
        return own if decision.released else None

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
        begin = decide(
            None, reduce(Outcomes.joined, [challengers[c].outcomes for c in first]), grew=True, **rules
        )
        return decisions | dict.fromkeys(first, begin)

    def _carry_out(self, adapter: Adapter, decisions: Mapping[str, Decision]) -> None:
        """Release where the gate says so, in one transaction; write the refusals down."""
        written: Any = {"clock": self.clock, "ids": self.ids}
        said = {c: {"reason": d.reason, **d.evidence} for c, d in decisions.items() if d.released}
        if said:
            promote(self.store, adapter.task, said, adapter.id, {}, **written)
        for channel, d in decisions.items():
            if not d.released:
                refuse(self.store, adapter.task, channel, adapter.id, d.reason, d.evidence, **written)

    def _champions(self, task: str, channels: Sequence[str]) -> dict[str, Judged]:
        serving = {
            r.channel: r for r in self.store.history.serving() if r.task == task and r.channel in channels
        }
        return {
            channel: self.judge(self.store.history.adapter(release.adapter), [channel])[channel]
            for channel, release in serving.items()
        }

    def _serves(self, adapter: Adapter, channel: str) -> bool:
        serving: Sequence[Release] = self.store.history.serving()
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

    def _key(
        self, task: str, channel: str | None, examples: Sequence[Example], start: Adapter | None, seed: int
    ) -> str:
        digest = hashlib.sha256()
        for example in sorted(examples, key=lambda e: e.id):
            digest.update(
                f"{example.id}\x1f{example.label}\x1f{example.split}\x1f{example.origin}\x1e".encode()
            )
        settings = {
            "task": self.recipe.task(task).model_dump(mode="json"),
            "train": self.recipe.train.model_dump(mode="json"),
            "channel": channel,
            "start": start.id if start else None,
            "seed": seed,
        }
        digest.update(json.dumps(settings, sort_keys=True).encode())
        return digest.hexdigest()[:32]

    def _keep(
        self,
        task: str,
        channel: str | None,
        trained: Trained,
        key: str,
        start: Adapter | None,
        examples: Sequence[Example],
    ) -> Adapter:
        """Store the adapter's files and the graph that serves it, then the record that names them."""
        files = {name: self.store.artifacts.put(content) for name, content in trained.files.items()}
        size = sum(len(content) for content in trained.files.values())
        lineage = {
            **trained.lineage,
            "key": key,
            "notes": list(trained.notes),
            "validation": trained.validation_accuracy,
        }
        graph_key, graph = self._graph(task, trained.files)
        reach = self._radius({**files, **graph}, examples, trained.labels)
        adapter = Adapter(
            id=content_id("adp", task, channel or "", key, *sorted(files.values())),
            task=task,
            channel=channel,
            base=self.recipe.task(task).base,
            labels=trained.labels,
            files={**files, **graph, **reach},
            lineage={**lineage, "graph": graph_key},
            size=size,
            seconds=trained.seconds,
            at=self.clock(),
            parent=start.id if start else None,
        )
        self.store.history.add(adapter)
        return adapter

    def _graph(self, task: str, files: Mapping[str, bytes]) -> tuple[str, dict[str, str]]:
        """The digests of the exported graph; exported once per base, settings and adapted layers."""
        settings = self.recipe.task(task)
        base = resolve(settings.base, self.cache)
        sites = sorted(Delta.from_files(files).factors) if CONFIG_FILE in files else []
        key = json.dumps([base.fingerprint, settings.longest, settings.prefix, sites])
        for adapter in self.store.history.adapters():
            if adapter.lineage.get("graph") == key:
                return key, {name: adapter.files[name] for name in GRAPH_FILES}
        self.progress(f"exporting {settings.base}", 0, 1)
        exported = export(base, sites, longest=settings.longest, prefix=settings.prefix)
        return key, {name: self.store.artifacts.put(content) for name, content in exported.items()}

    def _counting(self, stage: str, total: int) -> Callable[[int], None]:
        return lambda done: self.progress(stage, done, total)

    def _radius(
        self, files: Mapping[str, str], examples: Sequence[Example], labels: Sequence[str]
    ) -> dict[str, str]:
        """How far a correction reaches, learned from examples as the adapter that will serve sees them."""
        if not self.recipe.memory.enabled or self.recipe.memory.radius is not None:
            return {}
        drawn = random.Random(self.recipe.seed).sample(examples, min(REFERENCES, len(examples)))  # noqa: S311
        texts = [example.text for example in drawn]
        paths = {name: self.store.artifacts.path(digest) for name, digest in files.items()}
        stage = self._counting("how far a correction reaches", len(texts))
        embeddings, scores = self._engine.trial(paths, texts, progress=stage)
        gold = [example.label for example in drawn]
        radius = Radius.learn(embeddings, gold, scores, labels, seed=self.recipe.seed)
        return {RADIUS_FILE: self.store.artifacts.put(json.dumps(radius.to_json()).encode())}

    def _head(self, adapter: Adapter) -> Head:
        return Head.from_bytes(self.store.artifacts.get(adapter.files[HEAD_FILE]))

    def _report(self, judged: Judged, channel: str) -> None:
        rows = hashlib.sha256("\x1f".join(judged.outcomes.rows).encode()).hexdigest()[:16]
        figures = {**judged.judgement.to_json(), "rows": rows}
        name = content_id("rep", judged.adapter.id, channel, rows)
        self.store.history.add(
            Report(name, judged.adapter.id, judged.adapter.task, channel, figures, self.clock())
        )

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


def _rows_of(adapter: Adapter) -> int:
    found = adapter.lineage.get("training_rows", 0)
    return found if isinstance(found, int) else 0
