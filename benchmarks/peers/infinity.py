"""infinity as a server: a classifier on MiniLM at /classify, or its embeddings at /embeddings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from listening import serve_http, start_server
from optimum.onnxruntime import (
    ORTModelForFeatureExtraction,
    ORTModelForSequenceClassification,
    ORTQuantizer,
)
from optimum.onnxruntime.configuration import AutoQuantizationConfig
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def _classifier(model: str, folder: str, labels: int) -> Path:
    """The base with a head for `labels`, as a folder; infinity takes a model with a head for a classifier."""
    stored = Path(folder) / f"classifier-{labels}"
    if not (stored / "config.json").is_file():
        torch.manual_seed(0)
        AutoTokenizer.from_pretrained(model).save_pretrained(stored)
        AutoModelForSequenceClassification.from_pretrained(model, num_labels=labels).save_pretrained(stored)
    return stored


def _quantised(path: Path, folder: str, kind: str) -> Path:
    """The model in ONNX, with the int8 file that infinity prefers on a CPU beside it."""
    stored = Path(folder) / f"infinity-onnx-{kind}"
    if not (stored / "model_quantized.onnx").is_file():
        which = ORTModelForSequenceClassification if kind == "classify" else ORTModelForFeatureExtraction
        which.from_pretrained(path, export=True).save_pretrained(stored)
        AutoTokenizer.from_pretrained(path).save_pretrained(stored)
        quantizer = ORTQuantizer.from_pretrained(stored, file_name="model.onnx")
        settings = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
        quantizer.quantize(save_dir=stored, quantization_config=settings)
    return stored


def start(
    port: int,
    model: str,
    folder: str,
    labels: int = 77,
    kind: str = "classify",
    engine: str = "torch",
    dtype: str = "bfloat16",
    batch: int = 32,
) -> dict[str, object]:
    """Serve on `port` ("classify" or "embed"); `engine` is torch or optimum (ONNX, int8)."""
    path = _classifier(model, folder, labels) if kind == "classify" else Path(model)
    if engine == "optimum":
        path = _quantised(path, folder, kind)
    command = [sys.executable, "-c", "from infinity_emb.cli import cli; cli()", "v2"]
    settings = {
        "--model-id": ".",  # from its own folder: a longer path to an ONNX file is not found again
        "--served-model-name": "minilm",
        "--engine": engine,
        "--device": "cpu",
        "--dtype": dtype,
        "--batch-size": str(batch),
        "--port": str(port),
        "--host": "127.0.0.1",
        "--log-level": "error",
    }
    flags = ["--no-compile", "--no-model-warmup", "--no-bettertransformer", "--no-vector-disk-cache"]
    pairs = [part for pair in settings.items() for part in pair]
    where = "/classify" if kind == "classify" else "/embeddings"
    template = json.dumps({"model": "minilm", "input": ["TEXT"]})
    return start_server([*command, *pairs, *flags], port, where, template, 120, str(path))


serve_http(start)
