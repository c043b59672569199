"""Contrastive training of a small delta on the questions' side, over the cached prefix of the base.

Passages stay where the base puts them; LoRA on the top layers moves questions towards the passages that answer
them (query-side tuning: Lee et al., Learning Dense Representations of Phrases at Scale, ACL 2021). So every
passage is a negative of every question at no cost (InfoNCE; van den Oord et al. 2018), hard ones included, and a
new delta embeds no passage again. How much of the delta is kept is chosen on validation pairs (Wortsman et al.,
Robust fine-tuning of zero-shot models, CVPR 2022), and none of it where they are worse off with it, by more than
the noise: a hundred of them are too few to see a small gain, and the gate looks again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from headrace.errors import TrainingError
from headrace.models.delta import MODULES, Delta
from headrace.models.encoder_torch import Encoder, mean_pool
from headrace.models.prefix_torch import Prefix, pad_states
from headrace.models.tasks import Fitted, Job
from headrace.models.tasks.embed import WHOLE, Options, scores, sentences

Floats = NDArray[np.float32]
KEPT = (0.25, 0.5, 0.75, 1.0)
HEATS = (0.1, 0.2, 0.3, 0.5, 0.8)
"""Temperatures by which validation judges, in spreads of the scores; the best counts, so that a delta that only
makes scores larger gains nothing."""

PLANS = ((0.4, 2.0), (1.0, 1.0))
"""Training temperature in spreads of the scores, and times the learning rate: firm, and gentle."""

NEGATIVES = 4096
"""Passages beside a batch's own, at most."""

WARM_UP = 0.1


class Part:
    """Fits the delta."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()

    def fit(self, job: Job, features: object) -> Fitted:
        """A delta for the job's pairs; raises TrainingError without validation pairs or cached features."""
        if not isinstance(features, Prefix) or not job.validation.questions or not job.train.questions:
            raise TrainingError("there are too few questions whose passage is known to learn from.")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return _fitted(job, features, self.options)
        finally:
            torch.set_num_threads(threads)


def _fitted(job: Job, prefix: Prefix, options: Options) -> Fitted:
    """Train firmly and gently, then keep as much of the better delta as validation likes."""
    run = _Run(job, prefix, options)
    tried = [one for plan in PLANS for one in run.tried(*plan)]
    after, kept, delta = min(tried, key=lambda one: float(one[0].mean()))
    lost = after - run.before
    pays = float(lost.mean()) < float(lost.std()) / math.sqrt(len(lost))
    said = f"validation loss {run.before.mean():.3f} without a delta, {after.mean():.3f} with {kept:g} of it"
    notes = (f"{said}: {'kept' if pays else 'left out'}", f"{len(lost)} validation pairs")
    return Fitted(delta if pays else None, notes)


class _Bank:
    """The passages of a job as the base embeds them."""

    def __init__(self, passages: tuple[str, ...], prefix: Prefix) -> None:
        parts = [sentences(text) or [text] for text in passages]
        self.whole, self.parts = (
            prefix.pooled(passages),
            prefix.pooled([one for some in parts for one in some]),
        )
        self.ends = np.cumsum([0, *map(len, parts)])
        self.device = prefix.device

    def scores(self, questions: Floats) -> Floats:
        """[q, n] as serving has them."""
        return scores(questions, self.whole, self.parts, self.ends[:-1])

    def tensors(self, some: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Of some passages: whole [k, d], parts [m, d], and whose each part is [m]."""
        spans = [np.arange(self.ends[i], self.ends[i + 1]) for i in some]
        owners = np.repeat(np.arange(len(some)), [len(span) for span in spans])
        found = (self.whole[some], self.parts[np.concatenate(spans)], owners)
        whole, parts, of = (torch.from_numpy(np.ascontiguousarray(one)).to(self.device) for one in found)
        return whole, parts, of


class _Run:
    """One run over one job."""

    def __init__(self, job: Job, prefix: Prefix, options: Options) -> None:
        self.job, self.prefix, self.options = job, prefix, options
        self.low = prefix.base.layers - options.top(prefix.base.layers)
        self.bank = _Bank(tuple(job.passages), prefix)
        frozen = self.bank.scores(prefix.pooled(job.train.questions))
        self.spread = float(frozen.std()) or 1.0
        self.temperature = self.spread
        self.hard = np.argsort(-frozen, axis=1, kind="stable")[:, :20]
        self.states = prefix.hidden(job.train.questions, self.low)
        self.factors = self._initial()
        self.before = self._losses(prefix.pooled(job.validation.questions))

    def tried(self, heat: float, times: float) -> list[tuple[Floats, float, Delta]]:
        """Train from the start; of the parts of the delta that may be kept, the validation losses [n]."""
        self.factors = self._initial()
        self.temperature = self.options.temperature or heat * self.spread
        self._train(times * self.options.lr)
        asked = self.job.validation.questions
        return [(self._losses(self._pooled(asked, kept)), kept, self._delta(kept)) for kept in KEPT]

    def _initial(self) -> dict[tuple[int, str], tuple[Tensor, Tensor]]:
        draw = torch.Generator().manual_seed(self.job.seed)
        found = {}
        for layer in range(self.low, self.prefix.base.layers):
            for module in MODULES:
                rows, columns = self.prefix.encoder.weights[f"encoder.layer.{layer}.{module}.weight"].shape
                a = (torch.rand(self.options.rank, columns, generator=draw) * 2 - 1) / math.sqrt(columns)
                pair = (a, torch.zeros(rows, self.options.rank))
                found[layer, module] = tuple(one.to(self.prefix.device).requires_grad_() for one in pair)
        return {place: (a, b) for place, (a, b) in found.items()}

    def _train(self, lr: float) -> None:
        parameters = [one for pair in self.factors.values() for one in pair]
        optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0, foreach=False)
        batches = list(self._batches())
        for number, batch in enumerate(batches):
            for group in optimiser.param_groups:
                group["lr"] = lr * _rate(number / len(batches))
            optimiser.zero_grad()
            self._loss(batch, number).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if self.job.progress is not None:
                self.job.progress("learning from questions", number + 1, len(batches))

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        for epoch in range(self.options.epochs):
            order = np.random.default_rng([self.job.seed, epoch]).permutation(len(self.states))
            yield from np.array_split(order, math.ceil(len(order) / self.options.batch))

    def _loss(self, batch: NDArray[np.int64], number: int) -> Tensor:
        merged = self._merged(1.0)
        states, mask = pad_states([self.states[i] for i in batch], merged)
        layers = self.prefix.base.layers
        out = merged.run(states, mask, self.low, layers, self.factors, self.options.scaling())
        asked = functional.normalize(mean_pool(out, mask), dim=-1)
        right = np.array([self.job.train.right[i] for i in batch])
        some = self._beside(batch, right, number)
        whole, parts, owners = self.bank.tensors(some)
        best = torch.full((len(batch), len(some)), -1.0, device=asked.device)
        best = best.scatter_reduce(1, owners.expand(len(batch), -1), asked @ parts.T, "amax")
        found = WHOLE * (asked @ whole.T) + (1 - WHOLE) * best
        wanted = torch.from_numpy(np.searchsorted(some, right)).to(asked.device)
        return functional.cross_entropy(found / self.temperature, wanted)

    def _beside(self, batch: NDArray[np.int64], right: NDArray[np.int64], number: int) -> NDArray[np.int64]:
        """The passages that a batch is compared with, rising: all, or its own, hard ones and some by chance."""
        every = len(self.bank.whole)
        if every <= NEGATIVES:
            return np.arange(every)
        drawn = np.random.default_rng([self.job.seed, number, 1]).permutation(every)[:NEGATIVES]
        return np.unique(np.concatenate([right, self.hard[batch].ravel(), drawn]))

    def _merged(self, kept: float) -> Encoder:
        with torch.no_grad():
            return self.prefix.encoder.merged(self.factors, self.options.scaling() * kept)

    def _pooled(self, texts: tuple[str, ...], kept: float) -> Floats:
        return self.prefix.pooled_above(texts, self._merged(kept), self.low)

    def _losses(self, asked: Floats) -> Floats:
        """[n] cross-entropy of each validation pair, at the temperature that suits all of them best."""
        right = np.array(self.job.validation.right)
        found = self.bank.scores(asked) / np.float32(self.spread)
        return min((_cross_entropy(found / heat, right) for heat in HEATS), key=lambda one: float(one.mean()))

    def _delta(self, kept: float) -> Delta:
        factors = {
            place: (a.detach().cpu().numpy(), b.detach().cpu().numpy() * np.float32(kept))
            for place, (a, b) in self.factors.items()
        }
        return Delta(factors, self.options.scaling(), self.job.base_name)


def _rate(at: float) -> float:
    return at / WARM_UP if at < WARM_UP else 0.5 * (1 + math.cos(math.pi * (at - WARM_UP) / (1 - WARM_UP)))


def _cross_entropy(found: Floats, right: NDArray[np.int64]) -> Floats:
    moved = found - found.max(axis=1, keepdims=True)
    total = np.log(np.exp(moved).sum(axis=1))
    return np.asarray(total - moved[np.arange(len(right)), right], dtype=np.float32)
