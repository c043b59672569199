"""Examples -> an adapter in the store: its files, the graph that serves it, and how far corrections reach."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headrace import plugins
from headrace.errors import ArtifactError
from headrace.feedback.radius import REFERENCES, Radius
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.base import resolve
from headrace.models.delta import CONFIG_FILE, WEIGHTS_FILE, Delta
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Example, content_id
from headrace.serving.engine import Engine
from headrace.serving.export import export
from headrace.serving.live import RADIUS_FILE
from headrace.serving.quantise import ROWS
from headrace.store import Store

if TYPE_CHECKING:
    from headrace.tuning.train import Trained

Progress = Callable[[str, int, int], None]
GRAPH_FILES = ("graph.onnx", "tokenizer.json", "base.json")


class Trainer:
    """Trains adapters of one project; `cache` holds frozen features, and deleting it costs time alone."""

    def __init__(
        self, store: Store, recipe: Recipe, engine: Engine, cache: Path, *, clock: Clock, progress: Progress
    ) -> None:
        self.store, self.recipe, self.engine, self.cache = store, recipe, engine, cache
        self.clock, self.progress = clock, progress

    def train(
        self,
        task: str,
        channel: str | None = None,
        *,
        examples: Sequence[Example],
        start: Adapter | None = None,
        seed: int | None = None,
    ) -> Adapter:
        """Train the shared adapter of a task (`channel` None) or a channel's own, started from `start`.

        The same examples, recipe, seed and start give the adapter that is there already. Raises TrainingError
        where nothing can be learned, MissingExtra without headrace[train].
        """
        settings = self.recipe.task(task)
        found = [example for example in examples if not example.golden]
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
            start_delta=None if start is None else self._delta(start),
            checkpoints=self.cache / "checkpoints" / key,
            progress=self.progress,
            weights=np.array([weight if e.origin == "feedback" else 1.0 for e in training], np.float32),
        )
        return self._keep(task, channel, trained, key, start, training)

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
        graph_key, graph = self._graph(task, trained.files, examples)
        reach = self._radius({**files, **graph}, examples)
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

    def _graph(
        self, task: str, files: Mapping[str, bytes], examples: Sequence[Example]
    ) -> tuple[str, dict[str, str]]:
        """The digests of the exported graph; exported once per base, settings and adapted layers.

        An int8 graph is calibrated on rows of the first training that needs it; later ones share it, so that
        a thousand channels are served by one graph.
        """
        settings = self.recipe.task(task)
        base = resolve(settings.base, self.cache)
        sites = sorted(Delta.from_files(files).factors) if CONFIG_FILE in files else []
        key = json.dumps([base.fingerprint, settings.longest, settings.prefix, sites, settings.precision])
        for adapter in self.store.history.adapters():
            if adapter.lineage.get("graph") == key and self._whole(adapter):
                return key, {name: adapter.files[name] for name in GRAPH_FILES}
        self.progress(f"exporting {settings.base}", 0, 1)
        exported = export(
            base,
            sites,
            longest=settings.longest,
            prefix=settings.prefix,
            precision=settings.precision,
            texts=[example.text for example in self._drawn(examples, ROWS)],
        )
        return key, {name: self.store.artifacts.put(content) for name, content in exported.items()}

    def _whole(self, adapter: Adapter) -> bool:
        """Whether the files of its graph are there, every byte; else they are exported anew."""
        try:
            return all(self.store.artifacts.get(adapter.files[name]) for name in GRAPH_FILES)
        except ArtifactError:
            return False

    def _drawn(self, examples: Sequence[Example], most: int) -> list[Example]:
        """At most `most` of the examples, the same ones for the same recipe."""
        return random.Random(self.recipe.seed).sample(examples, min(most, len(examples)))

    def _radius(self, files: Mapping[str, str], examples: Sequence[Example]) -> dict[str, str]:
        """How far a correction reaches, learned from examples as the graph that will serve embeds them."""
        if not self.recipe.memory.enabled or self.recipe.memory.radius is not None:
            return {}
        drawn = self._drawn(examples, REFERENCES)
        texts = [example.text for example in drawn]
        paths = {name: self.store.artifacts.path(digest) for name, digest in files.items()}
        stage = counting(self.progress, "how far a correction reaches", len(texts))
        embeddings, _ = self.engine.trial(paths, texts, digests=files, progress=stage)
        radius = Radius.learn(embeddings, [example.label for example in drawn], seed=self.recipe.seed)
        return {RADIUS_FILE: self.store.artifacts.put(json.dumps(radius.to_json()).encode())}

    def _head(self, adapter: Adapter) -> Head:
        return Head.from_bytes(self.store.artifacts.get(adapter.files[HEAD_FILE]))

    def _delta(self, adapter: Adapter) -> Delta | None:
        names = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if name in adapter.files]
        return (
            Delta.from_files({n: self.store.artifacts.get(adapter.files[n]) for n in names})
            if names
            else None
        )


def counting(progress: Progress, stage: str, total: int) -> Callable[[int], None]:
    """Progress of one stage, of which only the number done is told."""
    return lambda done: progress(stage, done, total)
