"""sentence-transformers' embeddings with scikit-learn's LogisticRegression; C is swept on validation.

What is timed: loading, embedding the training rows and one fit, of the C that won; the sweep is not.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
import lines
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from sklearn.linear_model import LogisticRegression

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)


def run(rows: str, base: str, before: str, judge: bool) -> dict[str, Any]:
    """Fit on the JSON file `rows`; `judge` looks at the test rows, too."""
    data = json.loads(Path(rows).read_text("utf-8"))
    began = time.process_time()
    inner = Transformer(base, max_seq_length=128)
    model = SentenceTransformer(modules=[inner, Pooling(inner.get_embedding_dimension())], device="cpu")

    def embedded(part: str) -> Any:
        return model.encode([before + text for text, _ in data[part]], normalize_embeddings=True)

    x, y = embedded("train"), [label for _, label in data["train"]]
    encoded = time.process_time() - began
    seen, wanted = embedded("validation"), [label for _, label in data["validation"]]
    fits = {strength: fit(x, y, strength) for strength in STRENGTHS}
    scores = {strength: 100 * head.score(seen, wanted) for strength, (head, _) in fits.items()}
    best = max(scores, key=lambda strength: scores[strength])
    head, fitting = fits[best]
    found = {
        "cpu_s": encoded + fitting,
        "validation": scores[best],
        "strength": best,
        "sweep": {str(strength): score for strength, score in scores.items()},
        "sweep_cpu_s": sum(spent for _, spent in fits.values()),
    }
    if judge:
        found["test"] = 100 * head.score(embedded("test"), [label for _, label in data["test"]])
    return found


def fit(x: Any, y: list[int], strength: float) -> tuple[LogisticRegression, float]:
    """The head, saved too, and its cpu-seconds."""
    began = time.process_time()
    head = LogisticRegression(C=strength, max_iter=1000).fit(x, y)
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(head, f"{folder}/head.joblib")
    return head, time.process_time() - began


if __name__ == "__main__":
    torch.set_num_threads(1)
    lines.serve({"run": run})
