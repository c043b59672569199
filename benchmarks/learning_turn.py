"""The minutes of `benchmarks.learning`: a turn with a hundred corrections, from scratch and from what serves.

Of BANKING77's training rows the seed holds back 1,000; the adapter that serves is trained on the others by
`auto`. A hundred rows that were held back, those first that it answers wrongly, then come in. Features of old
rows are cached in both cases, as they are in a project.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.learning_labels import Judge
from benchmarks.memory import SETS, rows
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example
from headrace.tuning.learning import learn
from headrace.tuning.lesson import Lesson, Trained

NAME, BACK, CORRECTIONS, SEED = "banking77", 1000, 100, 0


def measure(options: argparse.Namespace, cache: Path, command: str) -> list[Figure]:
    """Processor seconds and accuracy of both, and the accuracy before."""
    task, settings = TaskRecipe(base=SETS[NAME]), TrainRecipe()
    learned = rows(options.data, NAME, "train", 1)
    order = np.random.default_rng(SEED).permutation(len(learned)).tolist()
    back, known = [learned[i] for i in order[:BACK]], [learned[i] for i in order[BACK:]]
    judge = Judge(task, cache, rows(options.data, NAME, "test", 1))

    def lesson(examples: Sequence[Example], start: dict[str, bytes]) -> Lesson:
        ones = (1.0,) * len(examples)
        checkpoints = cache / "checkpoints" / f"learning-{len(examples)}"
        args = (tuple(examples), (), ones, task, settings, SEED, cache, checkpoints)
        return Lesson(*args, start=start, again=bool(start))

    def right(made: Trained) -> float:
        return 100 * float(judge.right(made.files).mean())

    first = learn(lesson(known, {}))
    wrong = ~Judge(task, cache, back).right(first.files)
    chosen = sorted(range(BACK), key=lambda i: (not wrong[i], i))[:CORRECTIONS]
    rest = [*known, *(back[i] for i in chosen)]
    found = [
        Figure(
            f"{NAME}: before {CORRECTIONS} corrections, accuracy",
            round(right(first), 2),
            "%",
            command=command,
        )
    ]
    for said, start in (("from what serves", dict(first.files)), ("from scratch", {})):
        began = time.process_time()
        made = learn(lesson(rest, start))
        spent = time.process_time() - began
        title = f"{NAME}: a turn with {CORRECTIONS} corrections, {said}"
        found.append(Figure(f"{title}, processor time", round(spent, 1), "s", command=command))
        found.append(Figure(f"{title}, accuracy", round(right(made), 2), "%", command=command))
    return found
