"""The data sets of `benchmarks.training`: the same rows for ours and for the peers."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from headrace.models.adapter import Head
from headrace.models.delta import Delta
from headrace.recipe import TaskRecipe
from headrace.records import Example, Split
from headrace.tuning.features import prefix_of
from headrace.tuning.train import hold_out

AT = datetime(2026, 1, 1, tzinfo=UTC)
ROWS_OF_CHANNEL = 2000


@dataclass(frozen=True)
class Set:
    """A data set: its folder, label column, base, seeds, and the files of its splits; no `held`: drawn."""

    name: str
    label: str
    base: str
    seeds: tuple[int, ...]
    test: str
    held: str | None = None


SETS = (
    Set("banking77", "intent", "all-MiniLM-L6-v2", (0, 1, 2), "test.csv"),
    Set("twitter_financial_sentiment", "label", "all-MiniLM-L6-v2", (0, 1), "validation.csv"),
    Set("waimai_10k_zh", "label", "multilingual-e5-small", (0,), "test.csv", "dev.csv"),
)
CHANNELS = (
    ("banking77/train.csv", "intent", 5),
    ("bitext_customer_service/all.csv", "intent", 4),
    ("twitter_financial_sentiment/train.csv", "label", 2),
)
"""Where eleven channels of 2,000 rows each come from: file, label column, how many."""


def read(path: Path, label: str, split: Split, step: int = 1) -> list[Example]:
    """Every `step`-th row of a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::step]
    return [
        Example(f"{split}-{i:06}", path.parent.name, "t", row["text"], row[label], split, "source", AT)
        for i, row in enumerate(rows)
    ]


def parts(data: Path, one: Set, step: int = 1) -> tuple[list[Example], list[Example], list[Example]]:
    """Rows to train on, to validate on (none where the set has no such file), and to test on."""
    learned = read(data / one.name / "train.csv", one.label, "train", step)
    held = read(data / one.name / one.held, one.label, "validation", step) if one.held else []
    return learned, held, read(data / one.name / one.test, one.label, "test", step)


def parts_of_peer(data: Path, one: Set) -> tuple[list[Example], list[Example], list[Example]]:
    """The same for a peer, for whom validation rows are drawn as `train` draws them for seed 0."""
    learned, held, judged = parts(data, one)
    return (learned, held, judged) if held else (*hold_out(learned, 0.1, 0), judged)


def accuracy(files: dict[str, bytes], task: TaskRecipe, cache: Path, judged: Sequence[Example]) -> float:
    """Percent of the rows whose label is the adapter's answer."""
    head, texts = Head.from_bytes(files["head.safetensors"]), [example.text for example in judged]
    prefix = prefix_of(task, cache)
    delta = Delta.from_files(files) if head.delta else None
    embeddings = prefix.pooled(texts) if delta is None else prefix.pooled_through(texts, delta)
    said = head.logits(embeddings, texts, prefix.tokens(texts)).argmax(1)
    right = [head.labels[i] == example.label for i, example in zip(said, judged, strict=True)]
    return float(100 * sum(right) / len(right))


def channels(data: Path) -> Iterator[list[Example]]:
    """Eleven channels of 2,000 rows each, no row in two of them; a row stands in for a channel's own."""
    for file, label, count in CHANNELS:
        rows = read(data / file, label, "train")
        random.Random(0).shuffle(rows)
        for number in range(count):
            yield rows[number * ROWS_OF_CHANNEL : (number + 1) * ROWS_OF_CHANNEL]


def write_rows(
    path: Path, learned: Sequence[Example], held: Sequence[Example], judged: Sequence[Example]
) -> Path:
    """The JSON file that a peer reads."""
    labels = sorted({example.label for example in learned})
    numbers = {label: number for number, label in enumerate(labels)}
    named = {"train": learned, "validation": held, "test": judged}
    rows = {
        part: [(e.text, numbers[e.label]) for e in examples if e.label in numbers]
        for part, examples in named.items()
    }
    path.write_text(json.dumps({"labels": labels, **rows}), "utf-8")
    return path
