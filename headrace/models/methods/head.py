"""The joint head over the frozen base: the default method, seconds on a CPU and kilobytes on disk.

An adapter of a channel starts from the shared one: its L2 penalty pulls every weight towards the shared
weight instead of towards zero, and its own words join the shared ones. So a channel with few rows answers
as the shared adapter does except where its rows insist, and one with many goes its own way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from headrace.models.adapter import Floats, Head
from headrace.models.joint import JointOptions, fit_joint, fit_temperature
from headrace.models.methods import Fitted, Job, Rows
from headrace.models.ngrams import NgramOptions, grams, mostly_han


class Options(BaseModel):
    """Options of the joint head."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strength: float = Field(default=30.0, gt=0, description="C: the losses' weight against the L2 penalty")
    start_strength: float = Field(
        default=10.0, gt=0, description="the same, where it starts from the shared one"
    )
    weights: int = Field(default=20_000, ge=100, le=1_000_000, description="word weights kept")
    embedding_weight: float | None = Field(default=None, gt=0, description="None scales it to the words")
    tokens: int = Field(default=2, ge=0, le=4, description="longest n-gram of tokens")
    characters: Literal["auto", "on", "off"] = "auto"


class Part:
    """Fits the joint head; numpy and scipy alone."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()

    def fit(self, job: Job) -> Fitted:
        """The head for a job's rows, its temperature from the validation rows."""
        embeddings = job.features.pooled(job.train.texts)
        seen = job.features.pooled(job.validation.texts)
        tried = [self._fit(job, embeddings, seen, ngrams) for ngrams in self._ngrams(job)]
        head, logits = tried[0]
        notes: tuple[str, ...] = ()
        if len(tried) == 2:
            gain, noise = paired_gain(logits, tried[1][1], job.validation.y)
            if gain > noise:
                head, logits = tried[1]
            said = "kept" if gain > noise else "left out"
            notes = (f"characters bring {100 * gain:+.1f} points on validation: {said}",)
        head = replace(head, temperature=fit_temperature(logits, job.validation.y), base=job.base)
        return Fitted(head, None, logits, notes)

    def _ngrams(self, job: Job) -> list[NgramOptions]:
        if job.start is not None:
            return [job.start.ngrams]
        plain, both = NgramOptions(self.options.tokens), NgramOptions(self.options.tokens, 3)
        if self.options.characters == "off":
            return [plain]
        if self.options.characters == "on" or mostly_han(job.train.texts[:2000]):
            return [both]
        return [plain, both] if len(job.validation.y) else [plain]

    def _fit(self, job: Job, embeddings: Floats, seen: Floats, ngrams: NgramOptions) -> tuple[Head, Floats]:
        chosen = self.options
        options = JointOptions(
            strength=chosen.strength if job.start is None else chosen.start_strength,
            weights=chosen.weights,
            embedding_weight=chosen.embedding_weight,
            ngrams=ngrams,
        )
        rows = job.train
        counts = grams(rows.token_ids, rows.texts, ngrams).matrix()
        head = fit_joint(embeddings, counts, rows.y, rows.weights, job.labels, options, job.start)
        return head, logits_of(head, seen, job.validation)


def logits_of(head: Head, embeddings: Floats, rows: Rows) -> Floats:
    """[n, K] the head's logits on rows of a job."""
    return head.logits(embeddings, rows.texts, rows.token_ids)


def paired_gain(before: Floats, after: Floats, y: NDArray[np.int64]) -> tuple[float, float]:
    """How much more accurate `after` is than `before` on the same rows, and two standard errors of that."""
    difference = (after.argmax(1) == y).astype(np.float64) - (before.argmax(1) == y)
    return float(difference.mean()), 2 * float(difference.std(ddof=0) / np.sqrt(max(len(y), 1)))
