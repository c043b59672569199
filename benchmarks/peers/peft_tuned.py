"""A training loop around PEFT as its good users write it for a CPU.

Length groups, bfloat16 autocast, eager attention (torch's fused one has a slow bfloat16 backward on CPUs),
mean pooling, a dense layer from zero, AdamW with warm-up and a cosine. All linear modules of all layers, or
of the top ones. What is timed: rows to the saved adapter, without the evaluation.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import lines
import numpy as np
import torch
import torch.nn.functional as functional
from peft import LoraConfig, get_peft_model
from transformers import AutoModel, AutoTokenizer

MODULES = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")
WARM_UP, DROPOUT, DECAY, RANK = 0.05, 0.1, 0.01, 8
Rows = list[tuple[str, int]]


class Loop:
    """One run: `top` layers change (None: all)."""

    def __init__(self, base: str, before: str, many: int, top: int | None, seed: int) -> None:
        torch.manual_seed(seed)
        self.before, self.seed = before, seed
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        model = AutoModel.from_pretrained(base, attn_implementation="eager", **still)
        model.pooler = None
        layers = model.config.num_hidden_layers
        chosen = None if top is None else list(range(layers - top, layers))
        config = LoraConfig(
            r=RANK, lora_alpha=2 * RANK, target_modules=list(MODULES), layers_to_transform=chosen
        )
        self.model = get_peft_model(model, config)
        self.dense = torch.nn.Linear(model.config.hidden_size, many)
        torch.nn.init.zeros_(self.dense.weight)
        torch.nn.init.zeros_(self.dense.bias)

    def tokens(self, rows: Rows) -> tuple[list[list[int]], torch.Tensor]:
        """Token ids and label numbers."""
        ids = self.tokenizer([self.before + text for text, _ in rows], truncation=True, max_length=128)
        return ids["input_ids"], torch.tensor([label for _, label in rows])

    def pooled(self, ids: list[list[int]]) -> torch.Tensor:
        """[B, d] mean of the token vectors."""
        padded = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.long)
        mask = torch.zeros_like(padded)
        for row, one in enumerate(ids):
            padded[row, : len(one)] = torch.tensor(one)
            mask[row, : len(one)] = 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = self.model(input_ids=padded, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        return (states.float() * weights).sum(1) / weights.sum(1)

    def fit(self, rows: Rows, lr: float, epochs: int, batch: int) -> None:
        """Train to the last epoch."""
        ids, y = self.tokens(rows)
        lengths = np.array([len(one) for one in ids])
        factors = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": factors, "weight_decay": 0.0},
            {"params": list(self.dense.parameters()), "weight_decay": DECAY},
        ]
        optimiser = torch.optim.AdamW(groups, lr=lr, fused=True)
        steps = epochs * math.ceil(len(ids) / batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: share(step, steps))
        random = np.random.default_rng(self.seed)
        self.model.train()
        for _ in range(epochs):
            for some in batches(lengths, batch, random):
                logits = self.dense(functional.dropout(self.pooled([ids[i] for i in some]), DROPOUT))
                functional.cross_entropy(logits, y[torch.from_numpy(some)]).backward()
                optimiser.step()
                optimiser.zero_grad()
                schedule.step()

    def accuracy(self, rows: Rows) -> float:
        """Percent of right answers."""
        ids, y = self.tokens(rows)
        self.model.eval()
        order, right = sorted(range(len(ids)), key=lambda i: len(ids[i])), 0
        with torch.no_grad():
            for start in range(0, len(order), 64):
                some = order[start : start + 64]
                said = self.dense(self.pooled([ids[i] for i in some])).argmax(1)
                right += int((said == y[some]).sum())
        return 100 * right / len(ids)

    def save(self) -> int:
        """Write the adapter; its bytes."""
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            torch.save(self.dense.state_dict(), f"{folder}/dense.pt")
            return sum(path.stat().st_size for path in Path(folder).iterdir())


def share(step: int, steps: int) -> float:
    """Of the learning rate: warm-up, then half a cosine."""
    warm = int(steps * WARM_UP) + 1
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def batches(lengths: np.ndarray, size: int, random: np.random.Generator) -> list[np.ndarray]:
    """Batches of near-equal lengths in random order: sorted within pools of 50 batches."""
    order, found = random.permutation(len(lengths)), []
    for start in range(0, len(order), size * 50):
        pool = order[start : start + size * 50]
        pool = pool[np.argsort(lengths[pool] + random.random(len(pool)), kind="stable")]
        found += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [found[i] for i in random.permutation(len(found))]


def run(
    rows: str,
    base: str,
    before: str,
    top: int | None,
    lr: float,
    epochs: int,
    batch: int,
    seed: int,
    judge: bool,
) -> dict[str, Any]:
    """Train on the JSON file `rows`; `judge` looks at the test rows, too."""
    data = json.loads(Path(rows).read_text("utf-8"))
    began = time.process_time()
    loop = Loop(base, before, len(data["labels"]), top, seed)
    loop.fit(data["train"], lr, epochs, batch)
    size = loop.save()
    spent = time.process_time() - began
    found = {"cpu_s": spent, "bytes": size, "validation": loop.accuracy(data["validation"])}
    return found | ({"test": loop.accuracy(data["test"])} if judge else {})


if __name__ == "__main__":
    torch.set_num_threads(1)
    lines.serve({"run": run})
