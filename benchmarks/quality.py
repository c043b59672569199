"""How good `headrace train` is, beside TF-IDF + linear SVM and beside the frozen base alone.

BANKING77, SMP2017 (Chinese queries) and waimai_10k (Chinese reviews), each on its own test set, which is
looked at once. `--quick` takes every fourth row of BANKING77 and of SMP2017, and the head alone.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from benchmarks.figures import Figure, data_argument, main
from headrace.models.adapter import Head
from headrace.models.delta import Delta
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example, Split
from headrace.tuning.features import embed, prefix_of
from headrace.tuning.train import Trained, train

AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Set:
    """A data set: its folder, its label column, its base, seeds, and the accuracy that it must reach."""

    name: str
    label: str
    base: str
    seeds: tuple[int, ...]
    target: float
    validation: bool
    chinese: bool


SETS = (
    Set("banking77", "intent", "all-MiniLM-L6-v2", (0, 1, 2), 93.3, False, False),
    Set("smp2017_ecdt_zh", "intent", "multilingual-e5-small", (0, 1, 2), 93.0, True, True),
    Set("waimai_10k_zh", "label", "multilingual-e5-small", (0, 1, 2), 90.5, True, True),
)
QUICK = ("banking77", "smp2017_ecdt_zh")


def rows(folder: Path, one: Set, split: Split, step: int) -> list[Example]:
    """Every `step`-th row of a split's CSV file."""
    name = "dev" if split == "validation" else split
    with open(folder / one.name / f"{name}.csv", encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))[::step]
    return [
        Example(f"{split}-{i:06}", one.name, "t", row["text"], row[one.label], split, "source", AT)
        for i, row in enumerate(read)
    ]


def right(trained: Trained, task: TaskRecipe, cache: Path, judged: Sequence[Example]) -> NDArray[np.float64]:
    """[n] 1 where the adapter's answer is the row's label."""
    head, texts = Head.from_bytes(trained.files["head.safetensors"]), [example.text for example in judged]
    prefix = prefix_of(task, cache)
    delta = Delta.from_files(trained.files) if head.delta else None
    embeddings = prefix.pooled(texts) if delta is None else prefix.pooled_through(texts, delta)
    said = head.logits(embeddings, texts, prefix.tokens(texts)).argmax(1)
    return np.array([head.labels[i] == e.label for i, e in zip(said, judged, strict=True)], np.float64)


def svm(learned: Sequence[Example], judged: Sequence[Example], chinese: bool) -> NDArray[np.float64]:
    """TF-IDF (words 1-2, Chinese: characters 1-3) and a linear SVM, as scikit-learn gives them."""
    kind = {"analyzer": "char", "ngram_range": (1, 3)} if chinese else {"ngram_range": (1, 2)}
    vectoriser = TfidfVectorizer(sublinear_tf=True, **kind)
    model = LinearSVC().fit(vectoriser.fit_transform([e.text for e in learned]), [e.label for e in learned])
    said = model.predict(vectoriser.transform([e.text for e in judged]))
    return np.array([a == e.label for a, e in zip(said, judged, strict=True)], np.float64)


def frozen(
    learned: Sequence[Example], judged: Sequence[Example], task: TaskRecipe, cache: Path
) -> NDArray[np.float64]:
    """Logistic regression (C 10) on the frozen base's embeddings of norm 1."""
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(embed([e.text for e in learned], task=task, cache=cache), [e.label for e in learned])
    said = model.predict(embed([e.text for e in judged], task=task, cache=cache))
    return np.array([a == e.label for a, e in zip(said, judged, strict=True)], np.float64)


def accuracy(
    name: str,
    hits: NDArray[np.float64],
    command: str,
    seeds: tuple[int, ...] = (),
    target: float | None = None,
) -> Figure:
    """Mean accuracy in percent with a bootstrap interval over the test rows (2,000 draws, seed 0)."""
    drawn = np.random.default_rng(0).integers(0, len(hits), (2000, len(hits)))
    low, high = np.percentile(100 * hits[drawn].mean(axis=1), [2.5, 97.5])
    value = float(100 * hits.mean())
    said = None if target is None else f">= {target:g}"
    holds = None if target is None else value >= target
    interval = (round(float(low), 2), round(float(high), 2))
    return Figure(name, round(value, 2), "% accuracy", interval, len(hits), seeds, said, holds, command)


def measure_set(
    one: Set, folder: Path, cache: Path, command: str, *, quick: bool, method: str
) -> list[Figure]:
    """Three figures of accuracy, and what training cost."""
    step = 4 if quick else 1
    learned, judged = rows(folder, one, "train", step), rows(folder, one, "test", step)
    held = rows(folder, one, "validation", step) if one.validation else []
    task, seeds = TaskRecipe(base=one.base), one.seeds[:1] if quick else one.seeds
    runs = []
    for seed in seeds:
        settings = TrainRecipe(method="head" if quick else method)
        trained = train(learned, validation=held, task=task, settings=settings, seed=seed, cache=cache)
        runs.append((trained, right(trained, task, cache, judged)))
        say(f"{one.name} seed {seed}: {100 * runs[-1][1].mean():.2f} %; " + "; ".join(trained.notes))
    hits = np.mean([found for _, found in runs], axis=0)
    label = f"{one.name}, every {step}th row" if quick else one.name
    kilobytes = float(np.mean([sum(map(len, trained.files.values())) for trained, _ in runs]) / 1024)
    seconds = float(np.median([trained.seconds for trained, _ in runs]))
    return [
        accuracy(f"{label}: headrace train", hits, command, seeds, None if quick else one.target),
        accuracy(f"{label}: TF-IDF + linear SVM", svm(learned, judged, one.chinese), command),
        accuracy(f"{label}: frozen base alone", frozen(learned, judged, task, cache), command),
        Figure(f"{label}: adapter", round(kilobytes, 1), "KiB", n=len(runs), seeds=seeds, command=command),
        Figure(f"{label}: training", round(seconds, 1), "s", n=len(runs), seeds=seeds, command=command),
    ]


def say(line: str) -> None:
    """Progress, on the other stream."""
    print(line, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    wanted = [one for one in SETS if one.name in (options.only or [s.name for s in SETS])]
    wanted = [one for one in wanted if not options.quick or one.name in QUICK]
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch)
        return [
            figure
            for one in wanted
            for figure in measure_set(
                one, options.data, cache, command, quick=options.quick, method=options.method
            )
        ]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--cache", type=Path, help="a folder that keeps features between runs")
    parser.add_argument("--method", default="auto", help="method of training; default: auto")
    parser.add_argument("--only", action="append", choices=[one.name for one in SETS], help="one data set")


if __name__ == "__main__":
    sys.exit(main("quality", measure, arguments))
