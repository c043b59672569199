"""The joint head over the frozen base: the default method, seconds on a CPU and kilobytes on disk.

An adapter of a channel starts from the shared one: its L2 penalty pulls every weight towards the shared
weight instead of towards zero, and its own words join the shared ones. So a channel with few rows answers
as the shared adapter does except where its rows insist, and one with many goes its own way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from headrace.models.adapter import Floats, Head
from headrace.models.joint import JointOptions, fit_joint, fit_temperature, losses
from headrace.models.methods import Fitted, Job, Rows
from headrace.models.ngrams import NgramOptions, grams, mostly_han

STRENGTHS, START_STRENGTHS = (30.0, 3.0), (1.0, 10.0, 30.0)
"""Tried in this order where none is given; a later one must be better beyond one standard error."""

TOO_SURE = 1.1
"""Temperature that validation gives to a head whose penalty may be too weak; others need no second one."""

ONE_SIDED = 1.645
"""Standard errors that a true gain of nothing exceeds once in twenty times."""


class Options(BaseModel):
    """Options of the joint head."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strength: float | None = Field(
        default=None, gt=0, description="C: the losses' weight against the L2 penalty; None asks validation"
    )
    weights: int = Field(default=20_000, ge=100, le=1_000_000, description="word weights kept")
    embedding_weight: float | None = Field(default=None, gt=0, description="None scales it to the words")
    tokens: int = Field(default=2, ge=0, le=4, description="longest n-gram of tokens")
    characters: Literal["auto", "on", "off"] = "auto"
    refit: bool = Field(default=False, description="after the choices, learn from validation rows too")


class Part:
    """Fits the joint head; numpy and scipy alone."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()

    def fit(self, job: Job) -> Fitted:
        """The head for a job's rows; what is left open is chosen on the validation rows, and the temperature.

        Raises nothing of its own: a job always has rows of two labels.
        """
        embeddings, seen = job.features.pooled(job.train.texts), job.features.pooled(job.validation.texts)
        warmth = 1.0 if job.start is None else job.start.temperature
        ngrams, *others = self._ngrams(job)
        strength, *more = self._strengths(job)
        best = self._fit(job, embeddings, seen, ngrams, strength, warmth)
        notes = []
        for other in others:
            tried = self._fit(job, embeddings, seen, other, strength, warmth)
            gain, noise = paired_gain(best.logits, tried.logits, job.validation.y)
            best, kept = (tried, "kept") if gain > noise else (best, "left out")
            notes.append(f"characters bring {100 * gain:+.1f} points on validation: {kept}")
        for other_strength in more:
            if job.start is None and best.head.temperature < TOO_SURE:
                break
            tried = self._fit(job, embeddings, seen, best.head.ngrams, other_strength, warmth)
            if _clearly_likelier(best, tried):
                best, strength = tried, other_strength
        head = best.head
        if self.options.refit:
            head = self._again(job, np.concatenate([embeddings, seen]), best.head, strength)
            notes.append("fitted again with the validation rows")
        notes.append(f"strength {strength:g}, {len(head.weights)} word weights")
        return Fitted(head, None, best.logits, tuple(notes))

    def _again(self, job: Job, embeddings: Floats, chosen: Head, strength: float) -> Head:
        """The head of all rows by the choices made on some; the temperature stays."""
        every = job.with_all()
        found = self._fit(every, embeddings, embeddings[:0], chosen.ngrams, strength, chosen.temperature)
        return found.head

    def _ngrams(self, job: Job) -> list[NgramOptions]:
        if job.start is not None:
            return [job.start.ngrams]
        plain, both = NgramOptions(self.options.tokens), NgramOptions(self.options.tokens, 3)
        if self.options.characters == "off":
            return [plain]
        if self.options.characters == "on" or mostly_han(job.train.texts[:2000]):
            return [both]
        return [plain, both] if len(job.validation.y) else [plain]

    def _strengths(self, job: Job) -> tuple[float, ...]:
        if self.options.strength is not None:
            return (self.options.strength,)
        tried = STRENGTHS if job.start is None else START_STRENGTHS
        return tried if len(job.validation.y) else tried[:1]

    def _fit(
        self, job: Job, embeddings: Floats, seen: Floats, ngrams: NgramOptions, strength: float, warmth: float
    ) -> _Tried:
        chosen, rows = self.options, job.train
        options = JointOptions(strength, chosen.weights, chosen.embedding_weight, ngrams)
        counts: sparse.csr_matrix = grams(rows.token_ids, rows.texts, ngrams).matrix()
        head = fit_joint(embeddings, counts, rows.y, rows.weights, job.labels, options, job.start)
        logits = logits_of(head, seen, job.validation)
        temperature = fit_temperature(logits, job.validation.y, warmth)
        through = job.start is not None and job.start.delta
        given = replace(head, temperature=temperature, base=job.base, delta=through)
        return _Tried(given, logits, losses(logits, job.validation.y, temperature))


@dataclass(frozen=True)
class _Tried:
    head: Head
    logits: Floats
    losses: NDArray[np.float64]


def _clearly_likelier(best: _Tried, tried: _Tried) -> bool:
    gains = best.losses - tried.losses
    return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


def logits_of(head: Head, embeddings: Floats, rows: Rows) -> Floats:
    """[n, K] the head's logits on rows of a job."""
    return head.logits(embeddings, rows.texts, rows.token_ids)


def paired_gain(before: Floats, after: Floats, y: NDArray[np.int64]) -> tuple[float, float]:
    """How much more accurate `after` is than `before` on the same rows, and its noise (95 %, one side)."""
    difference = (after.argmax(1) == y).astype(np.float64) - (before.argmax(1) == y)
    return float(difference.mean()), ONE_SIDED * float(difference.std() / np.sqrt(max(len(y), 1)))
