"""PEFT's mixed batches: each row names its adapter (`adapter_names`), LoRA on query and value of the top two
layers, rank 8; heads of the adapters gathered and multiplied at once. In float32 and bfloat16."""

from __future__ import annotations

import time
from typing import Any

import torch
from lines import cpu_seconds, serve
from peft import LoraConfig, get_peft_model
from transformers import AutoModel, AutoTokenizer

torch.set_num_threads(1)
found: dict[str, Any] = {}


def open_model(model: str, adapters: int, labels: int, seconds: float) -> dict[str, object]:
    """Open the base and add up to `adapters` within `seconds`; says how many it bears in that time."""
    torch.manual_seed(0)
    network = AutoModel.from_pretrained(model, add_pooling_layer=False, attn_implementation="sdpa")
    layers = network.config.num_hidden_layers
    config = LoraConfig(
        r=8, lora_alpha=16, target_modules=["query", "value"], layers_to_transform=[layers - 2, layers - 1]
    )
    mixed = get_peft_model(network, config, adapter_name="0")
    began, count = time.perf_counter(), 1
    while count < adapters and time.perf_counter() - began < seconds:
        mixed.add_adapter(str(count), config)
        count += 1
    with torch.no_grad():
        for name, weight in mixed.named_parameters():
            if ".lora_B." in name:
                weight.normal_(std=0.02)
    found["model"], found["tokenizer"] = mixed.eval(), AutoTokenizer.from_pretrained(model)
    found["heads"] = torch.randn(count, network.config.hidden_size, labels) / 20
    return {"adapters": count, "seconds": time.perf_counter() - began}


def choose(texts: list[str], adapters: list[int], batch: int) -> dict[str, object]:
    """The attention of each precision that costs least for these batches."""
    best = []
    for dtype in ("float32", "bfloat16"):
        costs = {}
        for attention in ("sdpa", "eager"):
            variant = f"{dtype} {attention}"
            measure(texts, adapters, batch, variant)
            costs[variant] = min(measure(texts, adapters, batch, variant)["cpu_s"] for _ in range(2))
        best.append(min(costs, key=costs.__getitem__))
    return {"variants": best}


def _become(variant: str) -> None:
    if found.get("variant") != variant:
        dtype, attention = variant.split()
        found["model"].to(getattr(torch, dtype))
        found["heads"] = found["heads"].to(getattr(torch, dtype))
        found["model"].base_model.model.set_attn_implementation(attention)
        found["variant"] = variant


@torch.inference_mode()
def _run(texts: list[str], adapters: list[int], batch: int) -> Any:
    results = []
    for start in range(0, len(texts), batch):
        rows = adapters[start : start + batch]
        fed = found["tokenizer"](texts[start : start + batch], padding=True, return_tensors="pt")
        hidden = found["model"](**fed, adapter_names=[str(row) for row in rows]).last_hidden_state
        mask = fed["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        pooled = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))
        logits = torch.bmm(pooled.unsqueeze(1), found["heads"][torch.tensor(rows)]).squeeze(1)
        results.append(torch.softmax(logits.float(), 1))
    return torch.cat(results)


def measure(texts: list[str], adapters: list[int], batch: int, variant: str) -> dict[str, float]:
    """What the texts cost, text i by `adapters[i]`, asked `batch` at once."""
    _become(variant)
    _run(texts[:batch], adapters[:batch], batch)
    return cpu_seconds(lambda: _run(texts, adapters, batch), 1)


def count() -> dict[str, object]:
    """How many adapters it holds."""
    return {"adapters": len(found["heads"])}


serve({"open": open_model, "count": count, "choose": choose, "measure": measure})
