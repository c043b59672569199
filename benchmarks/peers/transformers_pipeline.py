"""transformers' `pipeline("text-classification")`: a BERT with a head of its own, one thread, in
float32 and bfloat16, with the faster of sdpa and eager attention."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from lines import cpu_seconds, serve
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

torch.set_num_threads(1)
found: dict[str, Any] = {}


def open_model(model: str, labels: int) -> dict[str, object]:
    """Open every variant: float32 and bfloat16, sdpa and eager attention."""
    for variant in itertools.product(("float32", "bfloat16"), ("sdpa", "eager")):
        torch.manual_seed(0)
        network = AutoModelForSequenceClassification.from_pretrained(
            model, num_labels=labels, dtype=getattr(torch, variant[0]), attn_implementation=variant[1]
        ).eval()
        found[" ".join(variant)] = pipeline(
            "text-classification", model=network, tokenizer=AutoTokenizer.from_pretrained(model), device="cpu"
        )
    return {"variants": list(found)}


def choose(texts: list[str], batch: int) -> dict[str, object]:
    """The variant of each precision that costs least on these texts."""
    costs = {}
    for variant in found:
        measure(texts, batch, variant)
        costs[variant] = min(measure(texts, batch, variant)["cpu_s"] for _ in range(2))
    kinds = {variant.split()[0] for variant in found}
    return {
        "variants": [min((v for v in costs if v.startswith(kind)), key=costs.__getitem__) for kind in kinds]
    }


def _run(texts: list[str], batch: int, variant: str) -> None:
    with torch.inference_mode():
        if batch == 1:
            for text in texts:
                found[variant](text)
        else:
            found[variant](texts, batch_size=batch)


def measure(texts: list[str], batch: int, variant: str) -> dict[str, float]:
    """What the texts cost, asked `batch` at once."""
    return cpu_seconds(lambda: _run(texts, batch, variant), 1)


serve({"open": open_model, "choose": choose, "measure": measure})
