"""LoRA on the top layers over the cached prefix, summed with a head over the n-grams alone.

The two are trained apart; their log-probabilities are added with a weight from validation, which does as
well as training them together. That sum is again a head (dense, bias and word weights), served as any other.
"""

from __future__ import annotations

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
        words = _word_head(job)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            tuned = Trainer(job, prefix, _plan(self.options, prefix.base.layers, len(job.train.y))).run()
        finally:
            torch.set_num_threads(threads)
        delta = Delta(tuned.factors, self.options.scaling(), job.base_name, self.options.rslora)
        seen = prefix.pooled_through(job.validation.texts, delta)
        return _summed(job, tuned, delta, words, seen)


def _plan(options: Options, layers: int, rows: int) -> Plan:
    return Plan(
        rank=options.rank,
        layers=options.top(layers),
        modules=options.changed(),
        scaling=options.scaling(),
        epochs=options.passes(rows),
        lr=options.lr,
        batch=options.batch,
    )


def _word_head(job: Job) -> Head:
    options = NgramOptions(2, 3 if mostly_han(job.train.texts[:2000]) else 0)
    counts = grams(job.train.token_ids, job.train.texts, options).matrix()
    nothing = np.zeros((len(job.train.y), 0), np.float32)
    given = JointOptions(ngrams=options)
    return fit_joint(nothing, counts, job.train.y, job.train.weights, job.labels, given)


def _summed(job: Job, tuned: Tuned, delta: Delta, words: Head, seen: Floats) -> Fitted:
    """The head whose logits are LoRA's plus the words' times the share that validation likes best."""
    y = job.validation.y
    options = [_head(job, tuned, words, share) for share in SHARES]
    logits = [logits_of(head, seen, job.validation) for head in options]
    heat = [fit_temperature(one, y) for one in logits]
    pairs = zip(logits, heat, strict=True)
    best = int(np.argmin([losses(one, y, temperature).mean() for one, temperature in pairs]))
    right = 100 * float((logits[0].argmax(1) == y).mean())
    note = f"lora alone {right:.1f} %, words added with weight {SHARES[best]:g}; epochs: {tuned.said}"
    return Fitted(replace(options[best], temperature=heat[best]), delta, logits[best], (note,))


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
