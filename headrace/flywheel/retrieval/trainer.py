"""Pairs -> an adapter of the embed task in the store: a delta where it pays, the graph, and how it ranks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace import plugins
from headrace.data.progress import Progress
from headrace.errors import TrainingError
from headrace.feedback.radius import SHARE as REACHED
from headrace.flywheel.forgetting.lineage import place_now, written
from headrace.flywheel.retrieval.asking import Asking
from headrace.flywheel.retrieval.pairs import pairs_of, teaching
from headrace.flywheel.training.graphs import graph_of
from headrace.knowledge.fuse import choose_share, scaled
from headrace.knowledge.rerank import (
    CANDIDATES,
    MEANING_TOO,
    RERANK_FILE,
    WORDS_ALONE,
    Reranker,
    Seen,
    features,
    fit,
)
from headrace.models.base import resolve
from headrace.models.delta import MODULES
from headrace.models.tasks.embed import Options
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Example, Passage, content_id
from headrace.serving.search_adapter import FOLDER, SearchAdapter
from headrace.store import Store
from headrace.store import manifest as manifests
from headrace.tuning.lesson import Lesson

CALIBRATED_ON = 512
ASKED = 1000
"""Questions that teach the ranking, at most."""

FEW = 20
"""Questions below which the packaged ranking stays as it is."""

LEAST_ASKED, NEAR = 50, 0.6
"""Below so many questions a correction reaches what is at least so near, as a share of the way from what does not
belong together to the same text."""

Floats = NDArray[np.float32]


class SearchTrainer:
    """Trains the shared adapters of a project's embed tasks; `cache` holds frozen features."""

    def __init__(
        self, store: Store, recipe: Recipe, cache: Path, *, clock: Clock, progress: Progress
    ) -> None:
        self.store, self.recipe, self.cache = store, recipe, cache
        self.clock, self.progress = clock, progress

    def train(self, task: str) -> Adapter:
        """The shared adapter of a task; the same pairs, recipe and seed give the one that is there already.

        Where pairs are too few, or a delta does not pay, it is the base as it is. Raises TrainingError where
        there is no passage, MissingExtra without headrace[train].
        """
        passages = self._passages(task)
        pairs = teaching(self.recipe, pairs_of(self.store, self.recipe, task))
        key = self._key(task, pairs)
        adapters = self.store.history.adapters(task, "")
        known = next((adapter for adapter in adapters if adapter.lineage.get("key") == key), None)
        return known or self._made(task, pairs, passages, key)

    def _passages(self, task: str) -> list[Passage]:
        """What some channel of the task may be answered from."""
        asking = set(self.recipe.channels_of(task))
        found = [p for p in self.store.documents.passages() if p.channel is None or p.channel in asking]
        if not found:
            raise TrainingError(
                "there is no passage to be found.", cure="Name documents: headrace knowledge sync"
            )
        return found

    def _key(self, task: str, pairs: Sequence[Example]) -> str:
        said = [[pair.id, pair.label, pair.split] for pair in pairs]
        settings = {"task": self.recipe.task(task).model_dump(mode="json"), "seed": self.recipe.seed}
        return hashlib.sha256(json.dumps([said, settings], sort_keys=True).encode()).hexdigest()[:32]

    def _made(self, task: str, pairs: Sequence[Example], passages: Sequence[Passage], key: str) -> Adapter:
        began = self.clock()
        tuning = plugins.require("headrace.tuning.pairs", verb="Training", extra="train")
        texts = {passage.id: passage.text for passage in passages}
        given: dict[str, Any] = {"task": self.recipe.task(task), "seed": self.recipe.seed}
        fitted = tuning.learn(pairs, texts, cache=self.cache, progress=self.progress, **given)
        own = fitted.delta.to_files() if fitted.delta else {}
        graph_key, graph = self._graph(task, passages)
        reranker = self._ranking({**graph, **self._put(own)}, pairs, passages)
        own[RERANK_FILE] = json.dumps(reranker.to_json(), sort_keys=True).encode()
        return self._keep(
            task,
            pairs,
            own,
            graph,
            {
                "method": "embed",
                "key": key,
                "graph": graph_key,
                "notes": list(fitted.notes),
                "training_rows": len(pairs),
                "seed": self.recipe.seed,
                "lessons": reranker.lessons,
                **place_now(self.store, task),
            },
            (self.clock() - began).total_seconds(),
        )

    def _keep(
        self,
        task: str,
        pairs: Sequence[Example],
        own: Mapping[str, bytes],
        graph: Mapping[str, str],
        lineage: Mapping[str, Any],
        seconds: float,
    ) -> Adapter:
        files = {**self._put(own), **graph}
        manifest = self.store.artifacts.put(self._manifest(task, pairs).to_bytes())
        adapter = Adapter(
            id=content_id("adp", task, "", str(lineage["key"]), *sorted(files.values())),
            task=task,
            channel=None,
            base=self.recipe.task(task).base,
            labels=(),
            files={**files, manifests.FILE: manifest},
            lineage=dict(lineage),
            size=sum(map(len, own.values())),
            seconds=seconds,
            at=self.clock(),
        )
        self.store.history.add(adapter)
        return adapter

    def _manifest(self, task: str, pairs: Sequence[Example]) -> manifests.Manifest:
        """Its rows are the examples among the pairs: titles and searches are no rows."""
        ids = {example.id for example in self.store.examples.get([pair.id for pair in pairs])}
        rows = tuple(pair for pair in pairs if pair.id in ids)
        training = tuple(pair for pair in rows if pair.split == "train")
        lesson = Lesson(
            training=training,
            validation=tuple(pair for pair in rows if pair.split == "validation"),
            weights=(1.0,) * len(training),
            task=self.recipe.task(task),
            settings=self.recipe.train,
            seed=self.recipe.seed,
            cache=self.cache,
            checkpoints=self.cache / "checkpoints",
        )
        return written(self.store, self.recipe, task, lesson, None, None)

    def _put(self, files: Mapping[str, bytes]) -> dict[str, str]:
        return {name: self.store.artifacts.put(content) for name, content in files.items()}

    def _graph(self, task: str, passages: Sequence[Passage]) -> tuple[str, dict[str, str]]:
        """The exported graph, which takes any delta: one for all adapters of a base and settings.

        It is calibrated on passages, never on what users said.
        """
        settings = self.recipe.task(task)
        base = resolve(settings.base, self.cache)
        low = base.layers - Options().top(base.layers)
        sites = [(layer, module) for layer in range(low, base.layers) for module in MODULES]
        key = json.dumps(["embed", base.fingerprint, settings.longest, settings.prefix, settings.precision])
        files, _ = graph_of(
            self.store,
            key,
            base,
            settings,
            sites,
            known=self.store.history.adapters(),
            texts=lambda: [passage.text for passage in passages[:CALIBRATED_ON]],
            progress=self.progress,
        )
        return key, files

    def _ranking(
        self, files: Mapping[str, str], pairs: Sequence[Example], passages: Sequence[Passage]
    ) -> Reranker:
        """How words and meaning are joined and what they say, learned from pairs that trained no delta.

        Those that users made did, and count all the same: there is nothing nearer to what is asked.
        """
        start = json.dumps(Reranker().to_json()).encode()
        content = {name: self.store.artifacts.path(digest) for name, digest in files.items()}
        digests = {**files, RERANK_FILE: hashlib.sha256(start).hexdigest()}
        folder = self.store.artifacts.folder / FOLDER
        adapter = SearchAdapter("new", {**content, RERANK_FILE: start}, digests, folder)
        asking = Asking(adapter, passages)
        held = [p for p in pairs if p.split == "validation" or p.origin == "feedback"][-ASKED:]
        texts = [pair.text for pair in pairs[:ASKED]]
        return ranking(asking, held, adapter.questions(texts) if texts else None)


def ranking(asking: Asking, held: Sequence[Example], questions: Floats | None) -> Reranker:
    """The reranker that `held` pairs teach; `questions` [n, d] say how near questions lie to each other."""
    plain = asking.seen(held, Reranker())
    background = asking.background(questions)
    reranker = Reranker(background=background, reach=_reach(questions, background))
    if len(held) < FEW:
        return reranker
    seen = [(_scaled(one, background), right) for one, right in plain]
    meaning = [one.meaning for one, _ in seen if one.meaning is not None]
    share = choose_share([one.words for one, _ in seen], meaning, [right for _, right in seen])
    reranker = replace(reranker, share=share, lessons=len(held))
    return replace(
        reranker,
        meaning_too=_fitted(seen, reranker, MEANING_TOO),
        words_alone=_fitted([(one.by_words(), right) for one, right in seen], reranker, WORDS_ALONE),
    )


def _scaled(seen: Seen, background: float) -> Seen:
    if seen.meaning is None or seen.title_meaning is None:
        return seen
    meaning, title = (scaled(one, background) for one in (seen.meaning, seen.title_meaning))
    return replace(seen, meaning=meaning, title_meaning=title)


def _fitted(
    seen: Sequence[tuple[Seen, int]], reranker: Reranker, start: Sequence[float]
) -> tuple[float, ...]:
    rows, right = [], []
    for one, wanted in seen:
        fused = reranker.fused(one)
        near = np.argsort(-fused, kind="stable")[:CANDIDATES]
        some = one.of(near)
        rows.append(features(some, reranker.fused(some)))
        right.append(near == wanted)
    return fit(np.concatenate(rows), np.concatenate(right), start)


def _reach(questions: Floats | None, background: float) -> float:
    """The cosine from which a correction of one question counts for another: few other questions lie so near."""
    near = background + NEAR * (1 - background)
    if questions is None or len(questions) < LEAST_ASKED:
        return near
    cosines = (questions @ questions.T)[np.triu_indices(len(questions), 1)]
    return float(np.clip(np.quantile(cosines, 1 - REACHED), near, 0.97))
