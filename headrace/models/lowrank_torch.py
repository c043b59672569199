"""The training loop of low-rank deltas over a cached prefix.

Batches of near-equal lengths; a large one is worked in two halves by two threads whose gradients are added
in a fixed order, so the number of processors changes no bit. After each epoch the whole state is written to the
checkpoint folder, under a name that is the hash of everything the run depends on.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from headrace.models.adapter import Floats
from headrace.models.encoder_torch import Encoder, Factors, mean_pool
from headrace.models.methods import Job
from headrace.models.prefix_torch import Prefix, pad_states
from headrace.store.artifacts import write_synced
from headrace.store.failures import disk_errors

WARM_UP, DECAY, DROPOUT, PATIENCE = 0.05, 0.01, 0.1, 2
HALVED = 64
"""Rows from which a batch is halved; products over fewer rows cost more than they win."""
SEEN_FOR_CENTRE = 2048
"""Training rows at most from which the embeddings' centre and spread are taken."""
SPREAD = 5.0
"""Norm to which the centred embedding is scaled before the dense layer, about that of a raw mean pool."""


@dataclass(frozen=True)
class Plan:
    """What is trained, and how long."""

    rank: int
    layers: int
    modules: tuple[str, ...]
    scaling: float
    epochs: int
    lr: float
    batch: int


@dataclass(frozen=True)
class Tuned:
    """The best epoch's factors and dense layer: logits = embedding_weight * (u - centre) @ dense + bias."""

    factors: dict[tuple[int, str], tuple[Floats, Floats]]
    dense: Floats
    bias: Floats
    embedding_weight: float
    centre: Floats
    said: str


class Trainer:
    """One run over one job."""

    def __init__(self, job: Job, prefix: Prefix, plan: Plan) -> None:
        self.job, self.prefix, self.plan = job, prefix, plan
        self.low = prefix.base.layers - plan.layers
        self.states = prefix.hidden(job.train.texts, self.low)
        some = np.random.default_rng(job.seed).permutation(len(self.states))[:SEEN_FOR_CENTRE]
        frozen = prefix.pooled_above([job.train.texts[i] for i in some], prefix.encoder, self.low)
        self.centre = torch.from_numpy(frozen.mean(axis=0)).to(prefix.device)
        self.weight = float(np.float32(SPREAD / max(0.05, math.sqrt(frozen.var(axis=0).sum()))))
        self.lengths = np.array([len(one) for one in self.states])
        self.parameters = self._initial()
        dense = [self.parameters["dense"], self.parameters["dense.bias"]]
        factors = list(self.parameters.values())[: -len(dense)]
        groups = [{"params": factors, "weight_decay": 0.0}, {"params": dense, "weight_decay": DECAY}]
        self.optimiser = torch.optim.AdamW(groups, lr=plan.lr, foreach=False)
        self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.scores: list[float] = []

    def run(self) -> Tuned:
        """Train to the last epoch, or until two in a row bring nothing."""
        self._resume()
        with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            while len(self.scores) < self.plan.epochs and not self._tired():
                self._epoch(len(self.scores), pool)
                self.scores.append(self._validate())
                if self.scores[-1] > max(self.scores[:-1], default=-1.0):
                    self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
                self._save()
        return self._tuned()

    def _initial(self) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(self.job.seed)
        found: dict[str, Tensor] = {}
        for layer in range(self.low, self.prefix.base.layers):
            for module in self.plan.modules:
                rows, columns = self.prefix.encoder.weights[f"encoder.layer.{layer}.{module}.weight"].shape
                a = (torch.rand(self.plan.rank, columns, generator=draw) * 2 - 1) / math.sqrt(columns)
                found[f"{layer}.{module}.A"] = a
                found[f"{layer}.{module}.B"] = torch.zeros(rows, self.plan.rank)
        many = len(self.job.labels)
        found["dense"] = torch.zeros(self.prefix.base.width, many)
        found["dense.bias"] = torch.zeros(many)
        return {name: value.to(self.prefix.device).requires_grad_() for name, value in found.items()}

    def _factors(self, values: dict[str, Tensor]) -> Factors:
        layers = range(self.low, self.prefix.base.layers)
        places = [(layer, module) for layer in layers for module in self.plan.modules]
        return {(n, m): (values[f"{n}.{m}.A"], values[f"{n}.{m}.B"]) for n, m in places}

    def _epoch(self, epoch: int, pool: ThreadPoolExecutor) -> None:
        random = np.random.default_rng([self.job.seed, epoch])
        batches = _batches(self.lengths, self.plan.batch, random)
        names = list(self.parameters)
        for number, batch in enumerate(batches):
            self._set_rate(epoch + number / len(batches), len(batches))
            halves = np.array_split(batch, 2) if len(batch) >= HALVED else [batch]
            kept = [random.random((len(half), self.prefix.base.width)) >= DROPOUT for half in halves]
            merged = self._merged(self.parameters)
            work = zip(halves, kept, strict=True)
            jobs = [pool.submit(self._gradients, merged, half, keep, len(batch)) for half, keep in work]
            parts = [job.result() for job in jobs]
            for at, name in enumerate(names):
                self.parameters[name].grad = torch.stack([part[at] for part in parts]).sum(0)
            self.optimiser.step()
            if self.job.progress is not None:
                self.job.progress("lora", epoch * len(batches) + number + 1, self.plan.epochs * len(batches))

    def _set_rate(self, at: float, steps: int) -> None:
        warm = max(WARM_UP * self.plan.epochs, 1 / steps)
        left = (at - warm) / max(1e-9, self.plan.epochs - warm)
        share = (at + 1 / steps) / (warm + 1 / steps) if at < warm else 0.5 * (1 + math.cos(math.pi * left))
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.lr * share

    def _merged(self, values: dict[str, Tensor]) -> Encoder:
        with torch.no_grad():
            return self.prefix.encoder.merged(self._factors(values), self.plan.scaling)

    def _gradients(
        self, merged: Encoder, rows: NDArray[np.int64], keep: NDArray[np.bool_], whole: int
    ) -> tuple[Tensor, ...]:
        job, device = self.job, self.prefix.device
        states, mask = pad_states([self.states[i] for i in rows], merged)
        factors = self._factors(self.parameters)
        out = merged.run(states, mask, self.low, self.prefix.base.layers, factors, self.plan.scaling)
        pooled = (functional.normalize(mean_pool(out, mask), dim=-1) - self.centre) * self.weight
        dropped = pooled * torch.from_numpy(keep).to(device, torch.float32) / (1 - DROPOUT)
        logits = dropped @ self.parameters["dense"] + self.parameters["dense.bias"]
        y, weights = (torch.from_numpy(of[rows]).to(device) for of in (job.train.y, job.train.weights))
        total = (functional.cross_entropy(logits, y, reduction="none") * weights).sum() / whole
        return torch.autograd.grad(total, list(self.parameters.values()))

    def _validate(self) -> float:
        """Share of right answers on the validation rows; where there are none, a later epoch is better."""
        if not len(self.job.validation.y):
            return float(len(self.scores))
        values = {name: p.detach() for name, p in self.parameters.items()}
        seen = self.prefix.pooled_above(self.job.validation.texts, self._merged(values), self.low)
        inside = (torch.from_numpy(seen).to(self.prefix.device) - self.centre) * self.weight
        said = (inside @ values["dense"] + values["dense.bias"]).argmax(1).cpu().numpy()
        return float((said == self.job.validation.y).mean())

    def _tired(self) -> bool:
        return len(self.scores) > PATIENCE and max(self.scores[-PATIENCE:]) <= max(self.scores[:-PATIENCE])

    def _tuned(self) -> Tuned:
        best = {name: tensor.cpu() for name, tensor in self.best.items()}
        factors = {place: (a.numpy(), b.numpy()) for place, (a, b) in self._factors(best).items()}
        dense, bias = best["dense"].numpy(), best["dense.bias"].numpy()
        said = ", ".join(f"{100 * score:.1f}" for score in self.scores)
        return Tuned(factors, dense, bias, self.weight, self.centre.cpu().numpy(), said)

    def _file(self) -> Path | None:
        if self.job.checkpoints is None:
            return None
        job, digest = self.job, hashlib.sha256()
        digest.update(
            f"{self.plan}{job.labels}{job.seed}{job.base}{self.prefix.longest}{self.prefix.prefix}".encode()
        )
        for rows in (job.train, job.validation):
            digest.update(json.dumps(list(rows.texts)).encode())
            digest.update(rows.y.tobytes() + rows.weights.tobytes())
        return self.job.checkpoints / f"lora-{digest.hexdigest()[:24]}.safetensors"

    def _save(self) -> None:
        path = self._file()
        if path is None:
            return
        tensors = {f"best.{name}": tensor for name, tensor in self.best.items()}
        for name, parameter in self.parameters.items():
            state = self.optimiser.state[parameter]
            tensors |= {f"now.{name}": parameter.detach(), f"step.{name}": state["step"]}
            tensors |= {f"mean.{name}": state["exp_avg"], f"square.{name}": state["exp_avg_sq"]}
        content = safetensors.torch.save(tensors, {"scores": json.dumps(self.scores)})
        scratch = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
        with disk_errors(str(path.parent)):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_synced(scratch, content)
                os.replace(scratch, path)
            finally:
                scratch.unlink(missing_ok=True)

    def _resume(self) -> None:
        path = self._file()
        if path is None or not path.is_file():
            return
        try:
            with safe_open(path, "pt") as file:
                scores = json.loads(file.metadata()["scores"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            path.unlink()  # unreadable: the run begins anew, with the same result
            return
        for name, parameter in self.parameters.items():
            parameter.data.copy_(tensors[f"now.{name}"])
            self.optimiser.state[parameter] = {
                "step": tensors[f"step.{name}"],
                "exp_avg": tensors[f"mean.{name}"],
                "exp_avg_sq": tensors[f"square.{name}"],
            }
            self.best[name] = tensors[f"best.{name}"]
        self.scores = scores


def _batches(
    lengths: NDArray[np.int64], size: int, random: np.random.Generator
) -> Sequence[NDArray[np.int64]]:
    """Batches of near-equal lengths in random order: sorted within pools of 50 batches."""
    order, found = random.permutation(len(lengths)), []
    for start in range(0, len(order), size * 50):
        pool = order[start : start + size * 50]
        pool = pool[np.argsort(lengths[pool] + random.random(len(pool)), kind="stable")]
        found += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [found[i] for i in random.permutation(len(found))]
