"""The Trainer of transformers around PEFT, each with its defaults: what the first page of the manuals gives.

AutoModelForSequenceClassification, LoraConfig(task_type="SEQ_CLS"), TrainingArguments with an output folder
and nothing else, so float32, batches of 8 as they come, three epochs at 5e-5. `lr` replaces the rate alone.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import lines
import numpy as np
import torch
from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments


class Rows(torch.utils.data.Dataset):
    """Tokenised rows."""

    def __init__(self, tokenizer: Any, rows: list[tuple[str, int]], before: str) -> None:
        texts = [before + text for text, _ in rows]
        self.ids = tokenizer(texts, truncation=True, max_length=128)["input_ids"]
        self.labels = [label for _, label in rows]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: int) -> dict[str, Any]:
        return {
            "input_ids": self.ids[at],
            "attention_mask": [1] * len(self.ids[at]),
            "labels": self.labels[at],
        }


def run(rows: str, base: str, before: str, seed: int, judge: bool, lr: float | None = None) -> dict[str, Any]:
    """Train on the JSON file `rows`; `judge` looks at the test rows, too."""
    data = json.loads(Path(rows).read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(data["labels"]))
        model = get_peft_model(model, LoraConfig(task_type=TaskType.SEQ_CLS))
        chosen = {} if lr is None else {"learning_rate": lr}
        trainer = Trainer(
            model=model,
            args=TrainingArguments(output_dir=folder, seed=seed, report_to="none", **chosen),
            train_dataset=Rows(tokenizer, data["train"], before),
            processing_class=tokenizer,
        )
        trainer.train()
        model.save_pretrained(folder)
        spent = time.process_time() - began
        judged = ["validation", "test"] if judge else ["validation"]
        return {"cpu_s": spent} | {
            part: accuracy(trainer, Rows(tokenizer, data[part], before)) for part in judged
        }


def accuracy(trainer: Trainer, rows: Rows) -> float:
    """Percent of right answers."""
    said = trainer.predict(rows).predictions.argmax(1)
    return float(100 * (said == np.array(rows.labels)).mean())


if __name__ == "__main__":
    torch.set_num_threads(1)
    lines.serve({"run": run})
