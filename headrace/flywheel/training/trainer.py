"""Examples -> an adapter in the store: its files, the graph that serves it, and how far corrections reach."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from headrace import plugins
from headrace.data.aliases import added
from headrace.data.progress import Progress
from headrace.feedback.radius import REFERENCES
from headrace.flywheel.forgetting.lineage import maker_of_graph, place_now, written
from headrace.flywheel.training.graphs import graph_of, has_graph
from headrace.flywheel.training.reach import drawn_of, reach_of
from headrace.flywheel.training.side_by_side import Asked, SideBySide, worth_it
from headrace.models.adapter import HEAD_FILE
from headrace.models.base import resolve
from headrace.models.delta import CONFIG_FILE, WEIGHTS_FILE, Delta
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Example, content_id
from headrace.serving.encoder import FILES as GRAPH_FILES
from headrace.serving.engine import Engine
from headrace.serving.live import RADIUS_FILE
from headrace.serving.quantise import ROWS
from headrace.store import Store
from headrace.store import manifest as manifests
from headrace.tuning.lesson import Lesson, Trained

FEW = 0.5
"""Share of the rows of a label on average below which one that was added is fitted alone at the end."""


class Trainer:
    """Trains adapters of one project; `cache` holds frozen features, and deleting it costs time alone.

    Of the adapters `without` nothing is taken up, neither they themselves nor their graphs. `place` and `taught`
    are those of one that is trained again: see `lineage`.
    """

    def __init__(
        self,
        store: Store,
        recipe: Recipe,
        engine: Engine,
        cache: Path,
        *,
        clock: Clock,
        progress: Progress,
        without: Collection[str] = (),
        place: Mapping[str, int] | None = None,
        taught: Sequence[manifests.Taught] | None = None,
    ) -> None:
        self.store, self.recipe, self.engine, self.cache = store, recipe, engine, cache
        self.clock, self.progress = clock, progress
        # One thread: how rows make batches, and so the last bits, would else depend on the number of cores.
        self._reader = Engine(remembered=0)
        self._without = frozenset(without)
        self._taught = taught
        self._place, self._places = place, dict[str, Mapping[str, int]]()

    def train(
        self,
        task: str,
        channel: str | None = None,
        *,
        examples: Sequence[Example],
        start: Adapter | None = None,
        seed: int | None = None,
        again: bool = False,
    ) -> Adapter:
        """Train the shared adapter of a task (`channel` None) or a channel's own, started from `start`.

        `again` says that these examples, but for a few, have taught `start`: its head is fitted again. The same
        examples, recipe, seed and start give the adapter that is there already. Raises TrainingError where
        nothing can be learned, MissingExtra without headrace[train].
        """
        seed = self.recipe.seed if seed is None else seed
        key = self._key(task, channel, examples, start, seed, again=again)
        known = self._known(task, channel, key)
        if known is not None:
            return known
        tuning = plugins.require("headrace.tuning.learning", verb="Training", extra="train")
        lesson = self._lesson(task, key, examples, start, seed)
        if channel is None:
            lesson = replace(lesson, again=again, added=self._added(task, examples))
        trained: Trained = tuning.learn(lesson, progress=self.progress)
        return self._keep(task, channel, trained, key, start, lesson)

    def train_side_by_side(
        self, task: str, channels: Iterable[tuple[str, Sequence[Example]]], total: int, *, start: Adapter
    ) -> str:
        """Train channels' own adapters two at once, where so many are new that it pays; else do nothing.

        The adapters are bit for bit those of `train`, which does what could not be done so. Gives back what
        went wrong with the processes themselves, empty where nothing did.
        """
        new = self._new(task, channels, start)
        first = worth_it(new)
        if not first:
            return ""
        with SideBySide() as hands:
            for asked, made in hands.learn(chain(first, new)):
                if made is not None:
                    given = (made.trained, asked.key, start, asked.lesson, made.reach)
                    self._keep(task, asked.channel, *given)
                self.progress("training channels side by side", asked.number, total)
            return hands.lost

    def _new(
        self, task: str, channels: Iterable[tuple[str, Sequence[Example]]], start: Adapter
    ) -> Iterator[Asked]:
        graph = self._graph_of(start) if self._learns_reach() and has_graph(self.store, start) else {}
        for number, (channel, examples) in enumerate(channels, 1):
            key = self._key(task, channel, examples, start, self.recipe.seed)
            if self._known(task, channel, key) is None:
                lesson = self._lesson(task, key, examples, start, self.recipe.seed)
                yield Asked(channel, key, number, lesson, graph)

    def _graph_of(self, adapter: Adapter) -> dict[str, tuple[Path, str]]:
        digests = {name: adapter.files[name] for name in GRAPH_FILES}
        return {name: (self.store.artifacts.path(digest), digest) for name, digest in digests.items()}

    def _added(self, task: str, examples: Sequence[Example]) -> tuple[str, ...]:
        """Labels that the owner has added and that have few rows beside another label's on average."""
        rows = Counter(e.label for e in examples if e.split == "train" and not e.golden)
        each = rows.total() / max(1, len(rows))
        changes = self._place["changes"] if self._place else None
        few = (name for name in added(self.store, task, changes) if 2 <= rows[name] < FEW * each)
        return tuple(sorted(few))

    def _known(self, task: str, channel: str | None, key: str) -> Adapter | None:
        adapters = self._adapters(task, channel or "")
        return next((adapter for adapter in adapters if adapter.lineage.get("key") == key), None)

    def _adapters(self, task: str | None = None, channel: str | None = None) -> list[Adapter]:
        """The adapters that may be taken up again, newest first."""
        return [a for a in self.store.history.adapters(task, channel) if a.id not in self._without]

    def _lesson(
        self, task: str, key: str, examples: Sequence[Example], start: Adapter | None, seed: int
    ) -> Lesson:
        self._places[key] = self._place or place_now(self.store, task)
        found = [example for example in examples if not example.golden]
        training = tuple(example for example in found if example.split == "train")
        weight = self.recipe.train.correction_weight
        return Lesson(
            training=training,
            validation=tuple(example for example in found if example.split == "validation"),
            weights=tuple(weight if example.origin == "feedback" else 1.0 for example in training),
            task=self.recipe.task(task),
            settings=self.recipe.train,
            seed=seed,
            cache=self.cache,
            checkpoints=self.cache / "checkpoints" / key,
            start={} if start is None else self._weights(start),
        )

    def _key(
        self,
        task: str,
        channel: str | None,
        examples: Sequence[Example],
        start: Adapter | None,
        seed: int,
        *,
        again: bool = False,
    ) -> str:
        digest = hashlib.sha256()
        for example in sorted((e for e in examples if not e.golden), key=lambda e: e.id):
            digest.update(
                f"{example.id}\x1f{example.label}\x1f{example.split}\x1f{example.origin}\x1e".encode()
            )
        settings: dict[str, object] = {
            "task": self.recipe.task(task).model_dump(mode="json"),
            "train": self.recipe.train.model_dump(mode="json"),
            "channel": channel,
            "start": start.id if start else None,
            "seed": seed,
        }
        more = {"again": again, "added": self._added(task, examples) if channel is None else ()}
        settings |= {name: value for name, value in more.items() if value}
        digest.update(json.dumps(settings, sort_keys=True).encode())
        return digest.hexdigest()[:32]

    def _keep(
        self,
        task: str,
        channel: str | None,
        trained: Trained,
        key: str,
        start: Adapter | None,
        lesson: Lesson,
        reach: bytes | None = None,
    ) -> Adapter:
        """Store the adapter's files, the graph that serves it and its rows, then the record that names them."""
        examples = lesson.training
        files = {name: self.store.artifacts.put(content) for name, content in trained.files.items()}
        size = sum(len(content) for content in trained.files.values())
        lineage = {
            **trained.lineage,
            "key": key,
            "notes": list(trained.notes),
            "validation": trained.validation_accuracy,
        }
        if start is not None and trained.lineage.get("again"):
            lineage["whole"] = start.id
        graph_key, graph, maker = self._graph(task, trained.files, examples)
        if reach is None or start is None or any(start.files[name] != graph[name] for name in GRAPH_FILES):
            reach = self._reach({**files, **graph}, examples)
        reaches = {} if reach is None else {RADIUS_FILE: self.store.artifacts.put(reach)}
        manifest = written(self.store, self.recipe, task, lesson, start, maker, self._taught).to_bytes()
        adapter = Adapter(
            id=content_id("adp", task, channel or "", key, *sorted(files.values())),
            task=task,
            channel=channel,
            base=self.recipe.task(task).base,
            labels=trained.labels,
            files={**files, **graph, **reaches, manifests.FILE: self.store.artifacts.put(manifest)},
            lineage={**lineage, "graph": graph_key, **self._places.pop(key, {})},
            size=size,
            seconds=trained.seconds,
            at=self.clock(),
            parent=start.id if start else None,
        )
        self.store.history.add(adapter)
        return adapter

    def _graph(
        self, task: str, files: Mapping[str, bytes], examples: Sequence[Example]
    ) -> tuple[str, dict[str, str], str | None]:
        """Key and digests of the exported graph, and the adapter on whose rows it was calibrated, if another."""
        settings = self.recipe.task(task)
        base = resolve(settings.base, self.cache)
        sites = sorted(Delta.from_files(files).factors) if CONFIG_FILE in files else []
        key = json.dumps([base.fingerprint, settings.longest, settings.prefix, sites, settings.precision])
        graph, shared = graph_of(
            self.store,
            key,
            base,
            settings,
            sites,
            known=self._adapters(),
            texts=lambda: [example.text for example in drawn_of(examples, ROWS, self.recipe.seed)],
            progress=self.progress,
        )
        return key, graph, None if shared is None else maker_of_graph(self.store, shared)

    def _learns_reach(self) -> bool:
        return self.recipe.memory.enabled and self.recipe.memory.radius is None

    def _reach(self, files: Mapping[str, str], examples: Sequence[Example]) -> bytes | None:
        """How far a correction reaches, learned from examples as the graph that will serve embeds them."""
        if not self._learns_reach():
            return None
        paths = {name: self.store.artifacts.path(digest) for name, digest in files.items()}
        stage = counting(self.progress, "how far a correction reaches", min(REFERENCES, len(examples)))
        seed = self.recipe.seed
        return reach_of(self._reader, paths, files, examples, seed=seed, progress=stage)

    def _weights(self, adapter: Adapter) -> dict[str, bytes]:
        """The files of its head and, where there is one, of its delta."""
        names = [name for name in (HEAD_FILE, CONFIG_FILE, WEIGHTS_FILE) if name in adapter.files]
        return {name: self.store.artifacts.get(adapter.files[name]) for name in names}


def counting(progress: Progress, stage: str, total: int) -> Callable[[int], None]:
    """Progress of one stage, of which only the number done is told."""
    return lambda done: progress(stage, done, total)
