"""learn: a lesson becomes an adapter's files, begun where it says; then labels that were added lately."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headrace.data.progress import Progress
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.delta import CONFIG_FILE, Delta
from headrace.models.joint import losses
from headrace.records import Example
from headrace.tuning import train
from headrace.tuning.choose import RATHER
from headrace.tuning.features import prefix_of
from headrace.tuning.lesson import Lesson, Trained
from headrace.tuning.refit import refit


def learn(lesson: Lesson, progress: Progress | None = None, threads: int | None = None) -> Trained:
    """What a lesson teaches; the same bytes in every process. Raises what `train` raises.

    Taught `again`, a delta stays and its head is fitted again, pulled to what it was; where there is none a head
    is fitted from scratch and nothing else is tried. Where validation rows then prefer what there was before,
    beyond the noise, an adapter is trained from scratch instead. A label that was added lately and has few rows
    is fitted alone at the end, as when it was added: beside labels with many rows it would hardly ever answer.
    """
    made = _again(lesson, progress, threads) if lesson.again else train.learn(lesson, progress, threads)
    for label in lesson.added:
        made = _with(made, lesson, label, progress)
    return made


def _again(lesson: Lesson, progress: Progress | None, threads: int | None) -> Trained:
    plain, settings = replace(lesson, again=False), lesson.settings
    if CONFIG_FILE not in lesson.start:
        options = settings.options if settings.method == "head" else {}
        alone = settings.model_copy(update={"method": "head", "options": options})
        plain = replace(plain, settings=alone, start={})
    made = train.learn(plain, progress, threads)
    if _worse(made, lesson, progress):
        whole = train.learn(replace(lesson, again=False, start={}), progress, threads)
        said = "trained from scratch: validation rows preferred what serves to its head fitted again"
        return replace(whole, notes=(said, *whole.notes), lineage={**whole.lineage, "again": False})
    more = {"again": True, "recipe": settings.model_dump(mode="json")}
    return replace(
        made, notes=("the head alone is fitted again", *made.notes), lineage={**made.lineage, **more}
    )


def _worse(made: Trained, lesson: Lesson, progress: Progress | None) -> bool:
    """Whether the labels of validation rows are likelier by the adapter before, beyond the noise."""
    rows = [row for row in _held(lesson) if row.label in made.labels]
    if not rows:
        return False
    lost = _losses(made.files, rows, lesson, progress) - _losses(lesson.start, rows, lesson, progress)
    return bool(lost.mean() > RATHER * max(lost.std() / np.sqrt(len(lost)), 1e-9))


def _held(lesson: Lesson) -> list[Example]:
    """The rows that validate: given ones, else those that `train` draws."""
    if lesson.validation:
        return list(lesson.validation)
    rows = sorted(lesson.training, key=lambda row: row.id)
    return train.hold_out(rows, lesson.settings.validation_share, lesson.seed)[1]


def _losses(
    files: Mapping[str, bytes], rows: list[Example], lesson: Lesson, progress: Progress | None
) -> NDArray[np.float64]:
    """[n] negative log-likelihood of each row's label; one that the head does not know is all but excluded."""
    head, texts = Head.from_bytes(files[HEAD_FILE]), [row.text for row in rows]
    prefix = prefix_of(lesson.task, lesson.cache, progress)
    delta = Delta.from_files(files) if CONFIG_FILE in files else None
    logits = head.logits(train.view_of(prefix, head, delta).pooled(texts), texts, prefix.tokens(texts))
    places = {label: i for i, label in enumerate(head.labels)}
    known = np.pad(logits, ((0, 0), (0, 1)), constant_values=float(logits.min()))
    y = np.array([places.get(row.label, len(places)) for row in rows], np.int64)
    return losses(known, y, head.temperature)


def _with(made: Trained, lesson: Lesson, label: str, progress: Progress | None) -> Trained:
    found = refit(
        [*lesson.training, *lesson.validation],
        held=lesson.validation,
        label=label,
        replaced=[label],
        task=lesson.task,
        share=lesson.settings.validation_share,
        seed=lesson.seed,
        start=made.files,
        cache=lesson.cache,
        progress=progress,
    )
    return replace(made, files=found.files, labels=found.labels, notes=(*made.notes, *found.notes))
