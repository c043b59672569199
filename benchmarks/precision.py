"""What int8 costs in accuracy, and what float32 serves: part of `python -m benchmarks.serving`.

A joint head is trained on each set as a user would, then judged on the test rows twice: through the int8
graph, calibrated on the first training rows, and through the float32 graph. `--quick` takes every tenth row.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure
from benchmarks.timing import at_most, cpu_seconds, median_figure
from headrace.models.base import resolve
from headrace.models.delta import CONFIG_FILE, Delta
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example, Split
from headrace.serving.encoder import Encoder
from headrace.serving.engine import Engine
from headrace.serving.export import Precision, export
from headrace.tuning.train import Trained, train

AT = datetime(2026, 1, 1, tzinfo=UTC)
LOST = at_most(0.3)


@dataclass(frozen=True)
class Set:
    """A data set: its folder, the column of its labels, the file of its test rows, its base."""

    name: str
    label: str
    test: str
    base: str


SETS = (
    Set("banking77", "intent", "test", "all-MiniLM-L6-v2"),
    Set("waimai_10k_zh", "label", "test", "multilingual-e5-small"),
    Set("twitter_financial_sentiment", "label", "validation", "all-MiniLM-L6-v2"),
)


def read(data: Path, one: Set, file: str, split: Split, step: int) -> list[Example]:
    """Every `step`-th row of a file."""
    with open(data / one.name / f"{file}.csv", encoding="utf-8", newline="") as opened:
        found = list(csv.DictReader(opened))[::step]
    return [
        Example(f"{split}-{i:06}", one.name, "t", row["text"], row[one.label], split, "source", AT)
        for i, row in enumerate(found)
    ]


def accuracy_lost(
    data: Path, cache: Path, command: str, *, quick: bool, method: str = "head"
) -> list[Figure]:
    """For each set the accuracy of both precisions, and the points that int8 loses."""
    return [figure for one in SETS for figure in _lost(one, data, cache, command, 10 if quick else 1, method)]


def _lost(one: Set, data: Path, cache: Path, command: str, step: int, method: str) -> list[Figure]:
    learned = read(data, one, "train", "train", step)
    judged = read(data, one, one.test, "test", step)
    task = TaskRecipe(base=one.base)
    trained = train(learned, task=task, settings=TrainRecipe(method=method), seed=0, cache=cache)
    right = {precision: _right(trained, task, learned, judged, cache, precision) for precision in _BOTH}
    name = one.name if step == 1 else f"{one.name}, every {step}th row"
    figures = [
        Figure(
            f"{name}: {trained.method}, {precision}",
            round(float(100 * hits.mean()), 2),
            "% accuracy",
            n=len(hits),
            seeds=(0,),
            command=command,
        )
        for precision, hits in right.items()
    ]
    differences = 100 * (right["fp32"] - right["int8"])
    drawn = np.random.default_rng(0).integers(0, len(differences), (2000, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    lost = float(differences.mean())
    interval = (round(float(low), 2), round(float(high), 2))
    holds = LOST.holds(lost) if step == 1 else None
    name = f"{name}: accuracy that int8 loses"
    return [
        *figures,
        Figure(name, round(lost, 3), "points", interval, len(differences), (0,), str(LOST), holds, command),
    ]


_BOTH: tuple[Precision, ...] = ("fp32", "int8")


def _right(
    trained: Trained,
    task: TaskRecipe,
    learned: Sequence[Example],
    judged: Sequence[Example],
    cache: Path,
    precision: Precision,
) -> NDArray[np.float64]:
    """[n] 1 where the engine's answer is the row's label."""
    sites = _sites(trained)
    calibration = [example.text for example in learned[:: max(1, len(learned) // 512)]]
    graph = export(
        resolve(task.base, cache), sites, longest=task.longest, precision=precision, texts=calibration
    )
    chances = Engine().scores(trained.files | graph, [example.text for example in judged])
    said = [trained.labels[i] for i in chances.argmax(axis=1)]
    return np.array([a == e.label for a, e in zip(said, judged, strict=True)], np.float64)


def _sites(trained: Trained) -> list[tuple[int, str]]:
    return sorted(Delta.from_files(trained.files).factors) if CONFIG_FILE in trained.files else []


def tokens_a_second(
    base_name: str, cache: Path, texts: dict[str, list[str]], command: str, rounds: int
) -> list[Figure]:
    """Tokens that the float32 graph reads in a cpu-second, by batch shape, for who does not want int8."""
    base = resolve(base_name, cache)
    encoder = Encoder.open(export(base, (), longest=128, precision="fp32"))
    figures = []
    for shape, asked in texts.items():
        tokens = sum(len(ids) for ids in encoder.tokenize(asked))
        encoder.encode(asked)
        speeds = [tokens / cpu_seconds(partial(encoder.encode, asked)) for _ in range(rounds)]
        figures.append(median_figure(f"fp32, {shape}", speeds, "tokens/cpu-s", command))
    return figures
