"""An adapter made of another one, with a label changed: named otherwise, or fitted on cached features."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from headrace import plugins
from headrace.data.progress import Progress
from headrace.feedback.radius import Radius
from headrace.flywheel.forgetting.lineage import maker_of_graph, place_now, written
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.column import renamed
from headrace.models.delta import CONFIG_FILE, WEIGHTS_FILE
from headrace.recipe import Recipe
from headrace.records import Adapter, Clock, Example, content_id
from headrace.serving.live import RADIUS_FILE
from headrace.store import Store
from headrace.store.manifest import FILE as ROWS_FILE
from headrace.store.manifest import Taught
from headrace.tuning.lesson import Lesson, Trained

OWN = (HEAD_FILE, CONFIG_FILE, WEIGHTS_FILE)


@dataclass(frozen=True)
class Change:
    """What the owner said: `label` takes the place of the labels `replaced` of a task; none where it is new."""

    task: str
    kind: Literal["added", "renamed", "merged"]
    label: str
    replaced: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """Former label -> the label."""
        return dict.fromkeys(self.replaced, self.label)

    @classmethod
    def from_evidence(cls, task: str, said: Any) -> Change:
        """The change that `evidence` told."""
        return cls(task, said["change"], str(said["label"]), tuple(map(str, said["replaced"])))

    @property
    def evidence(self) -> dict[str, object]:
        """The change as JSON."""
        return {"change": self.kind, "label": self.label, "replaced": list(self.replaced)}

    def told(self) -> str:
        """The change as a sentence begins."""
        if self.kind == "added":
            return f"label {self.label!r} added"
        listed = ", ".join(map(repr, self.replaced))
        return f"label{'s' if len(self.replaced) > 1 else ''} {listed} {self.kind} into {self.label!r}"


class Maker:
    """Makes them for one project; `cache` holds frozen features."""

    def __init__(
        self, store: Store, recipe: Recipe, cache: Path, *, clock: Clock, progress: Progress
    ) -> None:
        self.store, self.recipe, self.cache = store, recipe, cache
        self.clock, self.progress = clock, progress

    def make(
        self,
        change: Change,
        start: Adapter,
        channel: str | None,
        rows: Sequence[Example],
        *,
        without: Collection[str] = (),
        place: Mapping[str, int] | None = None,
        taught: Sequence[Taught] | None = None,
    ) -> Adapter:
        """The successor of `start`, the task's shared adapter or a channel's own, that `rows` teach.

        The one that is there already where nothing is new, unless it is one of `without`. Raises TrainingError.
        """
        place = place or place_now(self.store, change.task)
        lesson = self._lesson(change.task, start, rows)
        maker = maker_of_graph(self.store, start)
        manifest = written(self.store, self.recipe, change.task, lesson, start, maker, taught)
        manifest = replace(manifest, settings={**manifest.settings, "labels": change.evidence})
        listed = self.store.artifacts.put(manifest.to_bytes())
        key = content_id("key", start.id, channel or "", listed)
        for adapter in self.store.history.adapters(change.task, channel or ""):
            if adapter.lineage.get("key") == key and adapter.id not in without:
                return adapter
        anew = change.kind == "renamed"
        trained = _renamed(change, lesson) if anew else self._fitted(change, start, lesson)
        lineage = {"key": key, "labels": change.evidence, **place}
        return self._kept(change, replace(start, channel=channel), trained, lineage, listed)

    def _lesson(self, task: str, start: Adapter, rows: Sequence[Example]) -> Lesson:
        return Lesson(
            training=tuple(row for row in rows if row.split == "train"),
            validation=tuple(row for row in rows if row.split == "validation"),
            weights=(),
            task=self.recipe.task(task),
            settings=self.recipe.train,
            seed=self.recipe.seed,
            cache=self.cache,
            checkpoints=self.cache / "checkpoints",
            start={n: self.store.artifacts.get(start.files[n]) for n in OWN if n in start.files},
        )

    def _fitted(self, change: Change, start: Adapter, lesson: Lesson) -> Trained:
        tuning = plugins.require("headrace.tuning.refit", verb="A new or merged label", extra="train")
        made: Trained = tuning.refit(
            [*lesson.training, *lesson.validation],
            held=lesson.validation,
            label=change.label,
            replaced=[name for name in start.labels if name in (*change.replaced, change.label)],
            task=lesson.task,
            share=lesson.settings.validation_share,
            seed=lesson.seed,
            start=lesson.start,
            cache=self.cache,
            progress=self.progress,
        )
        return made

    def _kept(
        self, change: Change, start: Adapter, trained: Trained, more: Mapping[str, object], rows: str
    ) -> Adapter:
        """Store an adapter made of another one, whose graph serves it, too."""
        new = {name: self.store.artifacts.put(content) for name, content in trained.files.items()}
        whole = {"whole": start.lineage.get("whole", start.id)}
        lineage = {**start.lineage, **trained.lineage, **whole, **more}
        if trained.notes:
            lineage |= {"notes": list(trained.notes), "validation": None}
        adapter = replace(
            start,
            id=content_id("adp", change.task, start.channel or "", str(more["key"]), *sorted(new.values())),
            labels=trained.labels,
            files={**start.files, **new, **self._radius(change, start), ROWS_FILE: rows},
            lineage=lineage,
            size=sum(len(content) for content in trained.files.values()),
            seconds=trained.seconds,
            at=self.clock(),
            parent=start.id,
        )
        self.store.history.add(adapter)
        return adapter

    def _radius(self, change: Change, start: Adapter) -> dict[str, str]:
        """How far corrections reach, with its examples under the new name."""
        if RADIUS_FILE not in start.files or not change.replaced:
            return {}
        found = Radius.from_json(json.loads(self.store.artifacts.get(start.files[RADIUS_FILE])))
        said = json.dumps(found.relabelled(change.names).to_json())
        return {RADIUS_FILE: self.store.artifacts.put(said.encode())}


def _renamed(change: Change, lesson: Lesson) -> Trained:
    """The same weights under other names."""
    head = renamed(Head.from_bytes(lesson.start[HEAD_FILE]), change.names)
    files = {**lesson.start, HEAD_FILE: head.to_bytes()}
    return Trained(files, head.labels, "renamed", 0.0, 0.0, (), {})
