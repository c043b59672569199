"""LoRA on the top layers over the cached prefix, summed with a head over the n-grams alone.

The two are trained apart; their log-probabilities are added with a weight from validation, which does as
well as training them together. That sum is again a head (dense, bias and word weights), served as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from headrace.errors import TrainingError
from headrace.models.adapter import Floats, Head, eight_bits
from headrace.models.delta import Delta
from headrace.models.joint import JointOptions, fit_joint, fit_temperature, losses
from headrace.models.lowrank_torch import Plan, Trainer, Tuned
from headrace.models.methods import Fitted, Job
from headrace.models.methods.head import logits_of
from headrace.models.methods.lora import Options
from headrace.models.ngrams import NgramOptions, grams, mostly_han
from headrace.models.prefix_torch import Prefix

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)


class Part:
    """Fits LoRA and the word head beside it."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()

    def fit(self, job: Job) -> Fitted:
        """A head and a delta for a job's rows; a killed run continues from `job.checkpoints`."""
        prefix = job.features
        if not isinstance(prefix, Prefix) or not len(job.validation.y):
            raise TrainingError(
                "LoRA needs validation rows to stop by.", cure="Add examples, or use method: head."
            )
        if not self.options.changed() or self.options.top(prefix.base.layers) > prefix.base.layers:
            raise TrainingError(
                f"the base {prefix.base.name!r} has {prefix.base.layers} layers and no such modules.",
                cure="Lower train.options.layers, or correct train.options.modules.",
            )
        tuned = self._tune(job, prefix)
        words = [_word_head(job, self.options, ngrams) for ngrams in self._ngrams(job)]
        delta = self._delta(job, tuned)
        share, fitted = _summed(job, tuned, delta, words, prefix.pooled_through(job.validation.texts, delta))
        return self._again(job, prefix, fitted, share) if self.options.refit else fitted

    def _ngrams(self, job: Job) -> list[NgramOptions]:
        plain, both = NgramOptions(2, 0), NgramOptions(2, 3)
        if self.options.characters == "auto":
            return [plain, both] if mostly_han(job.train.texts[:2000]) else [plain]
        return [both if self.options.characters == "on" else plain]

    def _tune(self, job: Job, prefix: Prefix) -> Tuned:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return Trainer(job, prefix, _plan(self.options, prefix.base.layers, len(job.train.y))).run()
        finally:
            torch.set_num_threads(threads)

    def _delta(self, job: Job, tuned: Tuned) -> Delta:
        return Delta(tuned.factors, self.options.scaling(), job.base_name, self.options.rslora)

    def _again(self, job: Job, prefix: Prefix, fitted: Fitted, share: float) -> Fitted:
        """All rows, to the last epoch, by the choices made on some; the temperature stays."""
        every = job.with_all()
        tuned = self._tune(every, prefix)
        head = _head(every, tuned, _word_head(every, self.options, fitted.head.ngrams), share)
        return Fitted(
            replace(head, temperature=fitted.head.temperature),
            self._delta(job, tuned),
            fitted.validation_logits,
            (*fitted.notes, "trained again with the validation rows"),
        )


def _plan(options: Options, layers: int, rows: int) -> Plan:
    return Plan(
        rank=options.rank,
        layers=options.top(layers),
        modules=options.changed(),
        scaling=options.scaling(),
        epochs=options.passes(rows),
        lr=options.rate(),
        batch=options.batch,
    )


def _word_head(job: Job, options: Options, ngrams: NgramOptions) -> Head:
    counts = grams(job.train.token_ids, job.train.texts, ngrams).matrix()
    nothing = np.zeros((len(job.train.y), 0), np.float32)
    given = JointOptions(weights=options.words, ngrams=ngrams)
    return fit_joint(nothing, counts, job.train.y, job.train.weights, job.labels, given)


def _summed(
    job: Job, tuned: Tuned, delta: Delta, words: Sequence[Head], seen: Floats
) -> tuple[float, Fitted]:
    """The share of the words that validation likes best, and the head of LoRA's logits plus theirs."""
    y = job.validation.y
    tried = [(_head(job, tuned, one, share), share) for one in words for share in SHARES]
    logits = [logits_of(head, seen, job.validation) for head, _ in tried]
    heat = [fit_temperature(one, y) for one in logits]
    pairs = zip(logits, heat, strict=True)
    best = int(np.argmin([losses(one, y, temperature).mean() for one, temperature in pairs]))
    head, share = tried[best]
    right = 100 * float((logits[0].argmax(1) == y).mean())
    kind = "words and characters" if head.ngrams.characters else "words"
    note = f"lora alone {right:.1f} %, {kind} added with weight {share:g}; epochs: {tuned.said}"
    return share, Fitted(replace(head, temperature=heat[best]), delta, logits[best], (note,))


def _head(job: Job, tuned: Tuned, words: Head, share: float) -> Head:
    packed, scale = eight_bits(tuned.dense)
    dense = packed * scale
    own = tuned.bias - np.float32(tuned.embedding_weight) * (tuned.centre @ dense)
    return replace(
        words,
        dense=dense,
        bias=(own + np.float32(share) * words.bias).astype(np.float32),
        embedding_weight=tuned.embedding_weight,
        scale=words.scale * np.float32(share),
        base=job.base,
        delta=True,
    )
