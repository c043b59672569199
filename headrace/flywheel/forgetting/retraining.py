"""Adapters trained again on the rows that would have taught them, had somebody not been there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.data.progress import Progress
from headrace.data.texts import tidy
from headrace.data.unlearn import Unlearned
from headrace.errors import TrainingError
from headrace.flywheel.labels.deriving import Change, Maker
from headrace.flywheel.training.trainer import Trainer
from headrace.recipe import MemoryRecipe, Recipe, TaskRecipe, TrainRecipe
from headrace.records import Adapter, Clock, Example
from headrace.serving.engine import Engine
from headrace.store import Store
from headrace.store.manifest import FILE, Manifest, Taught


@dataclass(frozen=True, slots=True)
class Step:
    """An adapter that is to be trained again, on the rows of the artifact `manifest`, as if at its `place`."""

    id: str
    task: str
    channel: str | None
    manifest: str
    place: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done of a forgetting, in the order of `steps`, and what was done; `renewed` is never stored.

    `files` are artifacts that go at the end, where no adapter names them any more; `cached` the digests of texts
    whose features go.
    """

    steps: Sequence[Step]
    renewed: Mapping[str, Adapter] = field(default_factory=dict)
    files: Sequence[str] = ()
    cached: Sequence[str] = ()
    made: Mapping[str, str | None] = field(default_factory=dict)
    released: Sequence[str] = ()
    fell_back: Sequence[str] = ()
    unserved: Sequence[str] = ()
    notes: Sequence[str] = ()
    replaced: bool = False

    def to_json(self) -> dict[str, Any]:
        """All but `renewed`, as JSON."""
        names = ("files", "cached", "released", "fell_back", "unserved", "notes")
        lists = {name: list(getattr(self, name)) for name in names}
        steps = [asdict(step) for step in self.steps]
        return {"steps": steps, "made": dict(self.made), "replaced": self.replaced, **lists}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Plan:
        """What `to_json` said; other keys are left out."""
        known: dict[str, Any] = {name: said[name] for name in cls.__dataclass_fields__ if name in said}
        known["steps"] = [Step(**step) for step in said["steps"]]
        return cls(**known)


class Retraining:
    """Trains adapters again; `cache` is the project's folder of caches."""

    def __init__(
        self, store: Store, recipe: Recipe, cache: Path, *, clock: Clock, progress: Progress
    ) -> None:
        self.store, self.recipe, self.cache = store, recipe, cache
        self.clock, self.progress = clock, progress

    def manifest_now(self, adapter: Adapter, change: Unlearned) -> Manifest:
        """For an adapter without a list of its rows: those of today, without what is forgotten."""
        recipe, mine = self.recipe, adapter.channel
        of_task = recipe.channels_of(adapter.task)
        channels = [mine] if mine else [c for c in of_task if recipe.channels[c].share]
        known = self.store.examples.of(adapter.task, channels, ["train", "validation"])
        rows = [Taught.of(example) for example in change.examples(known) if not example.golden]
        settings = {
            "task": recipe.task(adapter.task).model_dump(mode="json"),
            "train": recipe.train.model_dump(mode="json"),
            "memory": recipe.memory.model_dump(mode="json"),
            "seed": recipe.seed,
            "drawn": recipe.seed,
        }
        return Manifest(tuple(rows), settings, adapter.parent)

    def with_rows(self, adapter: Adapter, manifest: Manifest) -> Adapter:
        """The same adapter with another list of rows, where what is forgotten changes nothing else."""
        digest = self.store.artifacts.put(manifest.to_bytes())
        return replace(adapter, files={**adapter.files, FILE: digest})

    def train(self, plan: Plan) -> tuple[dict[str, Adapter | None], list[str]]:
        """Train each adapter again, from the new one of the adapter that it began from; and what went wrong.

        None where nothing can be learned without the person. What was trained before is taken up. Raises
        MissingExtra.
        """
        made: dict[str, Adapter | None] = {}
        notes: list[str] = []
        engine = Engine(remembered=20_000, threads=1)
        for number, step in enumerate(plan.steps):
            self.progress("training again", number, len(plan.steps))
            manifest = Manifest.from_bytes(self.store.artifacts.get(step.manifest))
            try:
                made[step.id] = self._train(step, manifest, made, {one.id for one in plan.steps}, engine)
            except TrainingError as error:
                made[step.id] = None
                notes.append(f"{step.id} is not trained again: {error.message}")
        return made, notes

    def _train(
        self,
        step: Step,
        manifest: Manifest,
        made: Mapping[str, Adapter | None],
        without: Collection[str],
        engine: Engine,
    ) -> Adapter:
        start = None
        if manifest.start is not None:
            start = (
                made[manifest.start] if manifest.start in made else self.store.history.adapter(manifest.start)
            )
            if start is None:
                raise TrainingError(f"what it began from, {manifest.start}, cannot be trained.")
        recipe = _recipe_then(self.recipe, step.task, manifest.settings)
        if recipe.task(step.task).kind == "embed":
            raise TrainingError("it finds passages, and the next turn learns that again without them.")
        anew: Any = {"without": without, "place": step.place, "taught": manifest.rows}
        told: Any = {"clock": self.clock, "progress": self.progress}
        rows = self._examples(step.task, manifest)
        if "labels" in manifest.settings and start is not None:
            change = Change.from_evidence(step.task, manifest.settings["labels"])
            maker = Maker(self.store, recipe, self.cache, **told)
            return maker.make(change, start, step.channel, rows, **anew)
        trainer = Trainer(self.store, recipe, engine, self.cache, **anew, **told)
        drawn = manifest.settings.get("drawn", recipe.seed)
        seed = drawn if isinstance(drawn, int) else None
        again = bool(manifest.settings.get("again"))
        return trainer.train(step.task, step.channel, examples=rows, start=start, seed=seed, again=again)

    def _examples(self, task: str, manifest: Manifest) -> list[Example]:
        """The rows of a manifest with their texts, which rows keep where examples have gone since."""
        ids = [row.id for row in manifest.rows]
        texts = {e.id: (e.text, e.at) for e in self.store.examples.get(ids)}
        texts |= {
            r.id: (tidy(r.text), r.at) for r in self.store.rows.some([i for i in ids if i not in texts])
        }
        return [
            Example(
                r.id, r.channel, task, texts[r.id][0], r.label, r.split, r.origin, texts[r.id][1], r.same_as
            )
            for r in manifest.rows
            if r.id in texts
        ]


def _recipe_then(recipe: Recipe, task: str, settings: Mapping[str, object]) -> Recipe:
    """The recipe with what decided a training, as it was when the adapter was trained first."""
    tasks = {**recipe.tasks, task: TaskRecipe.model_validate(settings["task"])}
    then = {
        "tasks": tasks,
        "train": TrainRecipe.model_validate(settings["train"]),
        "memory": MemoryRecipe.model_validate(settings["memory"]),
        "seed": settings["seed"],
    }
    return recipe.model_copy(update=then)
