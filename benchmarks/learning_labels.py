"""The seconds of `benchmarks.learning`: ten new labels, one by one, from ten examples each.

The seed draws ten labels of a set and ten training rows of each. An adapter of all other labels is trained;
then each of the ten is fitted to it in its turn, on cached features. The full retrain is the same rows trained
from scratch at the end. A label's loss is of test rows that were right before it was added.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure
from benchmarks.memory import SETS, rows
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.delta import Delta
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example
from headrace.tuning.features import prefix_of
from headrace.tuning.refit import refit
from headrace.tuning.train import train

NEW, EACH, ENOUGH = 10, 10, 5
QUICK_NEW, QUICK_STEP = 3, 4
SETTINGS = TrainRecipe(method="head")


@dataclass(frozen=True)
class Run:
    """One seed: seconds of each addition, accuracies on the new labels, and what the others lost.

    `lost` is in points for each addition, `worst` the most rows that one label lost in it; `all_lost` is what
    the labels of the beginning lost by all additions together, and by the retrain.
    """

    seconds: list[float]
    ours: float
    retrained: float
    lost: list[float]
    worst: list[int]
    all_lost: tuple[float, float]


@dataclass(frozen=True)
class Judge:
    """The test rows of a set, as the base reads them."""

    task: TaskRecipe
    cache: Path
    rows: Sequence[Example]

    def right(self, files: Mapping[str, bytes]) -> NDArray[np.bool_]:
        """[n] which rows an adapter answers with their label."""
        head, prefix = Head.from_bytes(files[HEAD_FILE]), prefix_of(self.task, self.cache)
        texts = [row.text for row in self.rows]
        delta = Delta.from_files(files) if head.delta else None
        embeddings = prefix.pooled(texts) if delta is None else prefix.pooled_through(texts, delta)
        said = head.logits(embeddings, texts, prefix.tokens(texts)).argmax(1)
        return np.array([head.labels[i] == row.label for i, row in zip(said, self.rows, strict=True)])


def drawn(learned: Sequence[Example], judged: Sequence[Example], many: int, seed: int) -> list[list[Example]]:
    """Ten rows each of `many` labels that have enough rows to train and to test on."""
    random = np.random.default_rng(seed)
    known = sorted({row.label for row in learned})
    tested = {label: sum(row.label == label for row in judged) for label in known}
    by = {label: [row for row in learned if row.label == label] for label in known}
    enough = [label for label in known if len(by[label]) >= EACH + ENOUGH and tested[label] >= ENOUGH]
    names = [enough[i] for i in random.permutation(len(enough))[:many].tolist()]
    return [[by[name][i] for i in random.permutation(len(by[name]))[:EACH].tolist()] for name in names]


def run(name: str, seed: int, options: argparse.Namespace, cache: Path) -> Run:
    """Ten labels added one by one, and the full retrain."""
    step = QUICK_STEP if options.quick else 1
    task = TaskRecipe(base=SETS[name])
    learned, judged = rows(options.data, name, "train", step), rows(options.data, name, "test", 1)
    held = rows(options.data, name, "validation", step)
    tens = drawn(learned, judged, QUICK_NEW if options.quick else NEW, seed)
    new = [ten[0].label for ten in tens]
    judge, teaching = Judge(task, cache, judged), [row for row in learned if row.label not in new]
    old = [row for row in held if row.label not in new]
    labels = np.array([row.label for row in judged])
    first = train(teaching, validation=old, task=task, settings=SETTINGS, seed=seed, cache=cache)
    files, before = dict(first.files), judge.right(first.files)
    start, seconds, lost, worst = before, list[float](), list[float](), list[int]()
    for ten in tens:
        known = Head.from_bytes(files[HEAD_FILE]).labels
        teaching += ten
        began = time.process_time()
        made = refit(
            [*teaching, *old],
            held=old,
            label=ten[0].label,
            task=task,
            share=SETTINGS.validation_share,
            seed=seed,
            start=files,
            cache=cache,
        )
        seconds.append(time.process_time() - began)
        files, after = dict(made.files), judge.right(made.files)
        others = np.isin(labels, known)
        lost.append(100 * float(before[others].mean() - after[others].mean()))
        worst.append(max(int((before & ~after)[labels == label].sum()) for label in known))
        before = after
    again = train(teaching, validation=old, task=task, settings=SETTINGS, seed=seed, cache=cache)
    retrained, added = judge.right(again.files), np.isin(labels, new)
    fell = tuple(
        100 * float((start & ~added).sum() - (one & ~added).sum()) / (~added).sum()
        for one in (before, retrained)
    )
    accuracy = [float(np.mean([one[labels == name].mean() for name in new])) for one in (before, retrained)]
    return Run(seconds, accuracy[0], accuracy[1], lost, worst, (fell[0], fell[1]))


def measure(name: str, options: argparse.Namespace, cache: Path, command: str) -> list[Figure]:
    """All figures of one set."""
    seeds: tuple[int, ...] = (0,) if options.quick else tuple(options.seeds)
    runs = [run(name, seed, options, cache) for seed in seeds]
    full, title = not options.quick, f"{name}, every {QUICK_STEP}th" if options.quick else name

    def figure(said: str, value: float, unit: str, target: tuple[str, float] | None = None) -> Figure:
        holds, asked = None, None
        if target is not None:
            asked = f"{target[0]} {target[1]:g}"
            holds = (value >= target[1] if target[0] == ">=" else value <= target[1]) if full else None
        told = f"{title}: {said}"
        many = sum(len(one.lost) for one in runs)
        return Figure(told, round(value, 3), unit, None, many, seeds, asked, holds, command)

    ours, theirs = (float(np.mean([getattr(r, who) for r in runs])) for who in ("ours", "retrained"))
    seconds = [second for one in runs for second in one.seconds]
    worst = max(max(one.worst) for one in runs)
    many = 10 if full else QUICK_NEW
    return [
        figure(
            "a new label from ten examples, features cached, processor time, median",
            float(np.median(seconds)),
            "s",
        ),
        figure("accuracy on the new labels", 100 * ours, "%"),
        figure("accuracy on the new labels, full retrain", 100 * theirs, "%"),
        figure("accuracy on the new labels over a full retrain's", ours / theirs, "x", (">=", 0.9)),
        figure(
            "all other labels lose by a new one, the most",
            max(max(r.lost) for r in runs),
            "points",
            ("<=", 0.5),
        ),
        figure("all other labels lose by a new one, mean", float(np.mean([r.lost for r in runs])), "points"),
        figure("test rows that one label loses by a new one, the most", worst, "rows", ("<=", 3)),
        figure(
            f"the first labels lose by all {many}", float(np.mean([r.all_lost[0] for r in runs])), "points"
        ),
        figure(
            f"the first labels lose by all {many}, full retrain",
            float(np.mean([r.all_lost[1] for r in runs])),
            "points",
        ),
    ]
