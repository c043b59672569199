"""auto: methods from the cheapest up, each kept only where validation rows say that it pays.

The joint head comes first. Then LoRA on queries and values with the words, and then on all linear modules,
which costs more in training and in serving; that is tried only where queries and values have gained.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace import plugins
from headrace.models.joint import losses
from headrace.models.methods import Fitted, Job
from headrace.models.methods.head import paired_gain
from headrace.recipe import TrainRecipe

ENOUGH_FOR_LORA = 1000
"""Training rows below which `auto` does not try LoRA; and a fifth of them to validate."""

SURE, RATHER = 2.33, 1.0
"""Standard errors of likelihood that LoRA must gain over the head (99 %: its epoch was picked on the same rows),
and that the next LoRA must gain over the first, where both were picked so."""

LADDER: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("lora on q,v", {"modules": "qv"}),
    ("lora on all linear modules", {"modules": "all-linear"}),
)
"""What `auto` tries after the head, the cheaper first."""


@dataclass(frozen=True)
class Choice:
    """The method that is kept, what it made, and what was seen on the way."""

    method: str
    fitted: Fitted
    notes: tuple[str, ...]


def choose(job: Job, settings: TrainRecipe) -> Choice:
    """Fit what the recipe names; where it says `auto`, what validation prefers.

    A job with a start is always fitted by the method `head`.
    """
    if job.start is not None:
        options = settings.options if settings.method == "head" else {}
        fitted, note = timed(job, "head", "head", options)
        return Choice("head", fitted, (note, "started from the shared adapter", *fitted.notes))
    if settings.method != "auto":
        fitted, note = timed(job, settings.method, settings.method, settings.options)
        return Choice(settings.method, fitted, (note, *fitted.notes))
    head, note = timed(job, "head", "head", {})
    kept = Choice("head", head, (note, *head.notes))
    return _climb(job, kept) if enough(job) else kept


def enough(job: Job) -> bool:
    """Whether there are rows enough, to learn from and to judge by, for `auto` to try LoRA."""
    return len(job.train.y) >= ENOUGH_FOR_LORA and 5 * len(job.validation.y) >= ENOUGH_FOR_LORA


def _climb(job: Job, kept: Choice) -> Choice:
    """Up the ladder from the head, until a step does not pay."""
    best, name, notes = kept.fitted, "head", list(kept.notes)
    for tried, options in LADDER:
        fitted, note = timed(job, "lora", tried, options)
        notes += [note, *fitted.notes]
        pays, said = _pays(best, fitted, job.validation.y, SURE if name == "head" else RATHER)
        notes.append(f"{tried if pays else name} is kept: {tried} {said}")
        if not pays:
            break
        best, name = fitted, tried
    return Choice("head" if name == "head" else "lora", best, tuple(notes))


def _pays(before: Fitted, after: Fitted, y: NDArray[np.int64], wanted: float) -> tuple[bool, str]:
    """Whether the second is better beyond the noise, and how that is said.

    Accuracy alone decides too little: on a thousand rows a gain of a point is within its noise, while the
    likelihood of every row's label is heard.
    """
    gain, noise = paired_gain(before.validation_logits, after.validation_logits, y)
    likelier = _likelier(before, after, y)
    return gain > 0 and likelier > wanted, (
        f"finds the labels of validation rows likelier by {likelier:.1f} standard errors "
        f"(wanted: {wanted:g}) and gains {100 * gain:+.1f} points, of which {100 * noise:.1f} may be noise"
    )


def _likelier(before: Fitted, after: Fitted, y: NDArray[np.int64]) -> float:
    """By how many standard errors the second finds the validation rows' labels likelier, row by row."""
    first, second = (
        losses(fitted.validation_logits, y, fitted.head.temperature) for fitted in (before, after)
    )
    gains = first - second
    return float(gains.mean() / max(gains.std() / np.sqrt(len(gains)), 1e-9))


def timed(job: Job, method: str, called: str, options: object) -> tuple[Fitted, str]:
    """What a method makes of a job, and a note of its accuracy and cost, all threads together."""
    began = time.process_time()
    part = plugins.load("methods", method)(plugins.options("methods", method).model_validate(options))
    fitted: Fitted = part.fit(job)
    y = job.validation.y
    right = float((fitted.validation_logits.argmax(1) == y).mean()) if len(y) else 0.0
    spent = time.process_time() - began
    return fitted, f"{called}: {100 * right:.1f} % on {len(y)} validation rows, {spent:.1f} cpu-seconds"
