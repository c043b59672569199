"""train: examples become an adapter's files.

Examples are put in the order of their ids first, so the order in which they came changes nothing. The seed
draws the validation split, the order of batches and initial weights; the same seed on the same machine gives
the same bytes, whatever is cached already.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.errors import TrainingError
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.delta import CONFIG_FILE, Delta
from headrace.models.methods import Features, Fitted, Job, Rows
from headrace.models.methods.lora import Options
from headrace.models.prefix_torch import Prefix
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example
from headrace.tuning.choose import choose, enough
from headrace.tuning.features import prefix_of
from headrace.tuning.lesson import Lesson
from headrace.tuning.lesson import Trained as Trained


def train(
    examples: Sequence[Example],
    *,
    validation: Sequence[Example] = (),
    task: TaskRecipe,
    settings: TrainRecipe,
    seed: int,
    cache: Path,
    start: Head | None = None,
    start_delta: Delta | None = None,
    checkpoints: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    weights: NDArray[np.float32] | None = None,
    threads: int | None = None,
) -> Trained:
    """Fit an adapter for `task` on `examples`, judged while training on `validation`.

    Where `validation` is empty, about `settings.validation_share` of the examples is drawn for it by the
    seed, near-duplicates together. `weights` [n] count an example more or less, in the order given.
    `start` is the head to start from, always by the method `head`, and `start_delta` the delta that it was
    trained with, which the new adapter then carries too. `checkpoints` is a folder from which a killed run
    continues. `threads` work at features, None: two where there are cores; the bytes are the same.
    Raises TrainingError where nothing can be learned, and what `base.resolve` raises.
    """
    began = time.perf_counter()
    counts = np.ones(len(examples), np.float32) if weights is None else np.asarray(weights, np.float32)
    ordered = sorted(range(len(examples)), key=lambda i: examples[i].id)
    rows = [(examples[i], float(counts[i])) for i in ordered]
    held = sorted(validation, key=lambda example: example.id)
    _refuse(rows, held)
    if not held:
        rows, held = _split(rows, settings.validation_share, seed)
    labels = _labels([example for example, _ in rows], start)
    known = [example for example in held if example.label in labels]
    prefix = prefix_of(task, cache, progress, threads)
    view = view_of(prefix, start, start_delta)
    job = _job(rows, known, labels, prefix, view, seed, start, checkpoints, progress)
    if settings.method == "auto" and start is None and enough(job):
        prefix.warm(
            [*job.train.texts, *job.validation.texts], prefix.base.layers - Options().top(prefix.base.layers)
        )
    choice = choose(job, settings)
    fitted, notes = choice.fitted, (*choice.notes, f"trained on {prefix.place}")
    if len(known) < len(held):
        notes += (f"{len(held) - len(known)} validation rows have a label without training rows: left out",)
    delta = fitted.delta or start_delta
    files = {HEAD_FILE: fitted.head.to_bytes()} | (delta.to_files() if delta else {})
    return Trained(
        files=files,
        labels=labels,
        method=choice.method,
        validation_accuracy=_accuracy(fitted, job),
        seconds=time.perf_counter() - began,
        notes=notes,
        lineage=_lineage(rows, known, choice.method, seed, prefix, settings, start),
    )


def learn(
    lesson: Lesson, progress: Callable[[str, int, int], None] | None = None, threads: int | None = None
) -> Trained:
    """What a lesson teaches; the same bytes in every process. Raises what `train` raises."""
    start = lesson.start
    return train(
        lesson.training,
        validation=lesson.validation,
        task=lesson.task,
        settings=lesson.settings,
        seed=lesson.seed,
        cache=lesson.cache,
        start=Head.from_bytes(start[HEAD_FILE]) if start else None,
        start_delta=Delta.from_files(start) if CONFIG_FILE in start else None,
        checkpoints=lesson.checkpoints,
        progress=progress,
        weights=np.asarray(lesson.weights, np.float32),
        threads=threads,
    )


def hold_out(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Examples to learn from, and about `share` of them to validate on, as `train` draws them."""
    kept, held = _split([(example, 1.0) for example in examples], share, seed)
    return [example for example, _ in kept], held


def _refuse(rows: Sequence[tuple[Example, float]], held: Sequence[Example]) -> None:
    if not rows:
        raise TrainingError(
            "there is no example to train on.", cure="Collect labelled rows first: headrace collect"
        )
    tally = Counter(example.label for example, _ in rows)
    if len(tally) < 2:
        raise TrainingError(
            f"all {len(rows)} examples carry the label {next(iter(tally))!r}.",
            cure="Add examples of at least one other label.",
        )
    if not held and max(tally.values()) < 2:
        raise TrainingError(
            f"each of the {len(tally)} labels has a single example, so none can be held out to validate.",
            cure="Add examples until most labels have at least two.",
        )


def _split(
    rows: Sequence[tuple[Example, float]], share: float, seed: int
) -> tuple[list[tuple[Example, float]], list[Example]]:
    """Hold out about `share` of the rows to validate, whole groups of near-duplicates at a time.

    A hash of the seed and the group decides, so the same row validates a task's shared adapter and a
    channel's own, and goes on to when others join it. The last group of a label is never held out.
    """
    drawn = {_group(example): _draw(seed, _group(example)) for example, _ in rows}
    kept = {
        label: group for group, label in sorted(_labels_of(rows).items(), key=lambda pair: drawn[pair[0]])
    }
    spared = set(kept.values())
    open_ = sorted((group for group in drawn if group not in spared), key=lambda group: drawn[group])
    held = {group for group in open_ if drawn[group] < share} or set(open_[:1])
    training = [row for row in rows if _group(row[0]) not in held]
    return training, [example for example, _ in rows if _group(example) in held]


def _group(example: Example) -> str:
    return example.same_as or example.id


def _draw(seed: int, group: str) -> float:
    """A number in [0, 1) that is the group's for good."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:7]) / 2**56


def _labels_of(rows: Sequence[tuple[Example, float]]) -> dict[str, str]:
    """The label of the first example of each group."""
    found: dict[str, str] = {}
    for example, _ in rows:
        found.setdefault(_group(example), example.label)
    return found


def _labels(examples: Sequence[Example], start: Head | None) -> tuple[str, ...]:
    known = start.labels if start is not None else ()
    return tuple(sorted({example.label for example in examples} | set(known)))


@dataclass(frozen=True)
class _Through:
    """The base as it looks through a delta; a view for heads, so it has no states below a layer."""

    prefix: Prefix
    delta: Delta

    def pooled(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.prefix.pooled_through(texts, self.delta)

    def hidden(self, texts: Sequence[str], layer: int) -> Sequence[NDArray[np.uint16]]:
        return self.prefix.hidden(texts, layer)


def view_of(prefix: Prefix, start: Head | None, start_delta: Delta | None) -> Features:
    """The base as the head to start from reads it; raises TrainingError where the two do not fit."""
    if start is not None and start.base not in ("", prefix.base.fingerprint):
        raise TrainingError(
            f"the adapter to start from was trained on another base than {prefix.base.name!r}.",
            cure="Train the task's shared adapter on this base first.",
        )
    if (start is not None and start.delta) != (start_delta is not None):
        raise TrainingError(
            "the adapter to start from and its delta do not belong together.",
            cure="Pass both, or train the shared adapter again.",
        )
    return prefix if start_delta is None else _Through(prefix, start_delta)


def _job(
    rows: Sequence[tuple[Example, float]],
    held: Sequence[Example],
    labels: tuple[str, ...],
    prefix: Prefix,
    view: Features,
    seed: int,
    start: Head | None,
    checkpoints: Path | None,
    progress: Callable[[str, int, int], None] | None,
) -> Job:
    numbers = {label: number for number, label in enumerate(labels)}

    def part(examples: Sequence[Example], weights: Sequence[float]) -> Rows:
        texts = [example.text for example in examples]
        y = np.array([numbers[example.label] for example in examples], np.int64)
        return Rows(texts, prefix.tokens(texts), y, np.asarray(weights, np.float32))

    return Job(
        train=part([example for example, _ in rows], [weight for _, weight in rows]),
        validation=part(held, [1.0] * len(held)),
        labels=labels,
        features=view,
        base=prefix.base.fingerprint,
        base_name=prefix.base.name,
        seed=seed,
        start=start,
        checkpoints=checkpoints,
        progress=progress,
    )


def _accuracy(fitted: Fitted, job: Job) -> float:
    """Share of right answers on the validation rows; 0 where there are none."""
    right = fitted.validation_logits.argmax(1) == job.validation.y
    return float(right.mean()) if len(right) else 0.0


def _lineage(
    rows: Sequence[tuple[Example, float]],
    held: Sequence[Example],
    method: str,
    seed: int,
    prefix: Prefix,
    settings: TrainRecipe,
    start: Head | None,
) -> dict[str, object]:
    digest = hashlib.sha256()
    for example, weight in rows:
        digest.update(f"{example.id}\x1f{example.label}\x1f{weight}\x1e".encode("utf-8", "surrogatepass"))
    return {
        "method": method,
        "seed": seed,
        "examples": digest.hexdigest(),
        "training_rows": len(rows),
        "validation_rows": len(held),
        "base": prefix.base.name,
        "base_fingerprint": prefix.base.fingerprint,
        "longest": prefix.longest,
        "prefix": prefix.prefix,
        "recipe": settings.model_dump(mode="json"),
        "started_from": hashlib.sha256(start.to_bytes()).hexdigest() if start is not None else None,
    }
