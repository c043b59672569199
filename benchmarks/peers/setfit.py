"""setfit with its defaults, on a few rows of each label: all rows would take it days on a CPU."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.append(sys.path.pop(0))  # this file has the library's name
import lines
import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments


def run(rows: str, base: str, before: str, seed: int, shots: int, pairs: int, judge: bool) -> dict[str, Any]:
    """Train on `shots` rows of each label, `pairs` rounds of pairs a row; `judge` looks at the test rows."""
    data = json.loads(Path(rows).read_text("utf-8"))
    few = drawn(data["train"], shots, seed)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        model = SetFitModel.from_pretrained(base)
        trainer = Trainer(
            model=model,
            args=TrainingArguments(output_dir=folder, seed=seed, num_iterations=pairs, report_to="none"),
            train_dataset=Dataset.from_dict(
                {"text": [before + text for text, _ in few], "label": [label for _, label in few]}
            ),
        )
        trainer.train()
        model.save_pretrained(folder)
        spent = time.process_time() - began
    judged = ["validation", "test"] if judge else ["validation"]
    found = {part: accuracy(model, data[part], before) for part in judged}
    return {"cpu_s": spent, "rows": len(few)} | found


def drawn(rows: list[tuple[str, int]], shots: int, seed: int) -> list[tuple[str, int]]:
    """`shots` rows of each label."""
    by_label: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for row in random.Random(seed).sample(rows, len(rows)):
        if len(by_label[row[1]]) < shots:
            by_label[row[1]].append(row)
    return [row for some in by_label.values() for row in some]


def accuracy(model: SetFitModel, rows: list[tuple[str, int]], before: str) -> float:
    """Percent of right answers."""
    said = model.predict([before + text for text, _ in rows], as_numpy=True)
    return float(100 * sum(int(a) == b for a, (_, b) in zip(said, rows, strict=True)) / len(rows))


if __name__ == "__main__":
    torch.set_num_threads(1)
    lines.serve({"run": run})
