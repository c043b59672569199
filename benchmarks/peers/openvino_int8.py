"""OpenVINO with nncf's post-training int8 (SmoothQuant) of the encoder with mean pooling and a head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino
import torch
from lines import cpu_seconds, serve
from tokenizers import Tokenizer
from transformers import AutoModel

torch.set_num_threads(1)
found: dict[str, Any] = {}


class Classifier(torch.nn.Module):
    """Token ids to probabilities."""

    def __init__(self, model: str, labels: int) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(model, add_pooling_layer=False, attn_implementation="sdpa")
        self.head = torch.nn.Linear(self.encoder.config.hidden_size, labels)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Probabilities [B, labels]."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))
        return torch.softmax(self.head(pooled), 1)


def open_model(model: str, folder: str, labels: int, texts: list[str]) -> dict[str, object]:
    """Convert and quantise into `folder` (once), calibrated on `texts`."""
    tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    tokenizer.no_padding()
    found["tokenizer"] = tokenizer
    stored = Path(folder) / "openvino.xml"
    if not stored.is_file():
        stored.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        example = {key: torch.ones(2, 12, dtype=torch.int64) for key in ("input_ids", "attention_mask")}
        converted = openvino.convert_model(Classifier(model, labels).eval(), example_input=example)
        rows = [_feed([text]) for text in texts[:300]]
        quantised = nncf.quantize(
            converted, nncf.Dataset(rows), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows)
        )
        openvino.save_model(quantised, stored)
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
    found["compiled"] = {}
    for precision in ("f32", "bf16"):
        chosen = settings | {"INFERENCE_PRECISION_HINT": precision}
        compiled = openvino.Core().compile_model(str(stored), "CPU", chosen)
        found["compiled"][precision] = compiled.create_infer_request()
    return {"file": str(stored)}


def _feed(texts: list[str]) -> dict[str, Any]:
    encoded = [one.ids for one in found["tokenizer"].encode_batch_fast(texts)]
    longest = max(map(len, encoded))
    ids, mask = np.zeros((2, len(encoded), longest), np.int64)
    for row, tokens in enumerate(encoded):
        ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
    return {"input_ids": ids, "attention_mask": mask}


def _run(texts: list[str], batch: int, precision: str) -> None:
    request = found["compiled"][precision]
    for start in range(0, len(texts), batch):
        request.infer(_feed(texts[start : start + batch]), share_inputs=True, share_outputs=True)


def choose(texts: list[str], batch: int) -> dict[str, object]:
    """The precision of what is not int8 that costs least for these batches."""
    costs = {}
    for precision in found["compiled"]:
        measure(texts, batch, precision)
        costs[precision] = min(measure(texts, batch, precision)["cpu_s"] for _ in range(2))
    return {"variants": [min(costs, key=costs.__getitem__)]}


def measure(texts: list[str], batch: int, variant: str) -> dict[str, float]:
    """What the texts cost, asked `batch` at once."""
    return cpu_seconds(lambda: _run(texts, batch, variant), 1)


serve({"open": open_model, "choose": choose, "measure": measure})
