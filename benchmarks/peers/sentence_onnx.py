"""sentence-transformers' ONNX backend in its own int8 (avx512_vnni) with scikit-learn's LogisticRegression."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from lines import cpu_seconds, serve
from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model
from sklearn.linear_model import LogisticRegression

found: dict[str, Any] = {}


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def _open(folder: str, file: str | None = None, **more: Any) -> SentenceTransformer:
    settings = {"provider": "CPUExecutionProvider", "session_options": _options(), **more}
    if file:
        settings["file_name"] = file
    return SentenceTransformer(folder, backend="onnx", device="cpu", model_kwargs=settings)


def open_model(model: str, folder: str, texts: list[str], classes: list[str]) -> dict[str, object]:
    """Export and quantise into `folder` (once), and fit the head on `texts`."""
    stored = Path(folder) / "sentence"
    if not any(stored.glob("onnx/*qint8*")):
        shutil.rmtree(stored, ignore_errors=True)
        exported = _open(model, export=True)
        exported.save_pretrained(str(stored))
        export_dynamic_quantized_onnx_model(exported, "avx512_vnni", str(stored))
    file = next(path.name for path in stored.glob("onnx/*qint8*"))
    found["encoder"] = _open(str(stored), f"onnx/{file}")
    found["head"] = LogisticRegression(max_iter=300).fit(_embed(texts, 32), classes)
    return {"file": file}


def _embed(texts: list[str], batch: int) -> Any:
    encoder = found["encoder"]
    return encoder.encode(texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False)


def _run(texts: list[str], batch: int) -> Any:
    parts = (texts[i : i + batch] for i in range(0, len(texts), batch))
    return np.concatenate([found["head"].predict_proba(_embed(part, batch)) for part in parts])


def choose(texts: list[str], batch: int) -> dict[str, object]:
    """There is one variant."""
    return {"variants": ["avx512_vnni"]}


def measure(texts: list[str], batch: int, variant: str) -> dict[str, float]:
    """What the texts cost, asked `batch` at once: embeddings and probabilities."""
    return cpu_seconds(lambda: _run(texts, batch), 1)


def predict(texts: list[str], batch: int) -> dict[str, object]:
    """The most probable class of each text."""
    return {"classes": found["head"].classes_[_run(texts, batch).argmax(1)].tolist()}


serve({"open": open_model, "choose": choose, "measure": measure, "predict": predict})
