"""Does the guarantee hold? What may be answered alone, beside a plain threshold and the raw softmax.

BANKING77's test rows with all out-of-scope questions of CLINC150 mixed in, and SMP2017's test rows with `chat`
as out of scope; neither is trained on. A head is trained as `headrace train` does. Then 200 times some rows are
checked (1,000; of SMP2017 half), the threshold is found on them, and the other rows are answered: what is out
of scope and answered alone is wrong. A split is broken where more than the target of its answered rows is
wrong. The share that is answered is compared with that of the best threshold, chosen on those very rows.
`--quick` takes every fourth row to train on, the head alone, and 40 splits.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, data_argument, main
from benchmarks.quality import SETS as TRAINED
from benchmarks.quality import Set, rows
from benchmarks.support_plot import Line, draw
from benchmarks.support_time import measure_time
from headrace.evaluation.intervals import wilson
from headrace.evaluation.risk import certify
from headrace.models.adapter import Head
from headrace.models.delta import Delta
from headrace.recipe import SupportRecipe, TaskRecipe, TrainRecipe
from headrace.records import Example
from headrace.tuning.features import prefix_of
from headrace.tuning.train import train

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
CONFIDENCE = SupportRecipe().confidence
TARGETS = (0.01, 0.02, 0.05, 0.10)
SPLITS, QUICK_SPLITS, QUICK_STEP = 200, 40, 4
MOST = 64_000
"""Rows beyond which it is not tried how many the guarantee needs."""


@dataclass(frozen=True)
class Case:
    """A set, how many of its rows are checked, and what is asked: broken splits, and shares by target."""

    name: str
    checked: Callable[[int], int]
    broken: float
    shares: dict[float, float]


CASES = (
    Case("banking77", lambda _: 1000, 0.05, {0.05: 0.8, 0.10: 0.8}),
    Case("smp2017_ecdt_zh", lambda n: n // 2, 0.08, {0.05: 0.7, 0.10: 0.8}),
)


@dataclass(frozen=True)
class Asked:
    """Rows that were asked: the serving adapter's confidence [n] and whether it was right [n]."""

    scores: Floats
    right: Flags


def guarantee(checked: Asked, target: float) -> float | None:
    """The certified threshold."""
    return certify(checked.scores, checked.right, target, CONFIDENCE).threshold


def plain(checked: Asked, target: float) -> float | None:
    """The lowest threshold at which at most the target of the checked rows was wrong."""
    order = np.argsort(-checked.scores, kind="stable")
    held = np.cumsum(~checked.right[order]) <= target * np.arange(1, len(order) + 1)
    return float(checked.scores[order[np.flatnonzero(held)[-1]]]) if held.any() else None


def softmax(checked: Asked, target: float) -> float | None:
    """The adapter's own word: a confidence of 1 - target."""
    return 1 - target


RULES = {"guarantee": guarantee, "plain threshold": plain, "raw softmax": softmax}


def out_of_scope(case: Case, data: Path, judged: list[Example]) -> tuple[list[Example], list[str]]:
    """The test rows that have a label, and the texts that no label covers."""
    if case.name == "banking77":
        return judged, list(_clinc(data))
    chat = [example.text for example in judged if example.label == "chat"]
    return [example for example in judged if example.label != "chat"], chat


def _clinc(data: Path) -> Iterator[str]:
    for part in ("train", "val", "test"):
        with gzip.open(data / "clinc150" / f"{part}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            yield from (row["text"] for row in csv.DictReader(file) if row["intent"] == "oos")


def answered(case: Case, data: Path, cache: Path, *, step: int, method: str) -> Asked:
    """Train, and answer every test row and every question out of scope; kept in `cache`."""
    kept = cache / f"support-{case.name}-{step}-{method}.npz"
    if kept.is_file():
        with np.load(kept) as found:
            return Asked(found["scores"], found["right"])
    one: Set = next(one for one in TRAINED if one.name == case.name)
    learned = [e for e in rows(data, one, "train", step) if e.label != "chat"]
    held = [e for e in rows(data, one, "validation", step) if e.label != "chat"] if one.validation else []
    judged, strange = out_of_scope(case, data, rows(data, one, "test", 1))
    task, settings = TaskRecipe(base=one.base), TrainRecipe(method=method)
    trained = train(learned, validation=held, task=task, settings=settings, seed=0, cache=cache)
    say(f"{case.name}: " + "; ".join(trained.notes))
    found = served(trained.files, task, cache, judged, strange)
    np.savez(kept, scores=found.scores, right=found.right)
    return found


def served(
    files: dict[str, bytes], task: TaskRecipe, cache: Path, judged: list[Example], strange: list[str]
) -> Asked:
    """The adapter's confidence in its answer to each text, and whether it was right."""
    head, prefix = Head.from_bytes(files["head.safetensors"]), prefix_of(task, cache)
    texts = [example.text for example in judged] + strange
    delta = Delta.from_files(files) if head.delta else None
    embeddings = prefix.pooled(texts) if delta is None else prefix.pooled_through(texts, delta)
    chances = head.probabilities(embeddings, texts, prefix.tokens(texts))
    labels = [example.label for example in judged] + [None] * len(strange)
    said = [head.labels[i] for i in chances.argmax(1)]
    right = np.array([one == label for one, label in zip(said, labels, strict=True)])
    return Asked(chances.max(1).astype(np.float64), right)


@dataclass(frozen=True)
class Outcome:
    """Of each split: whether it was broken, the share answered alone, and that of the best threshold."""

    broken: Flags
    share: Floats
    best: Floats

    @property
    def of_best(self) -> float:
        """How much of what the best threshold answers is answered, over all splits."""
        return ratio(self.share, self.best)


def split_up(asked: Asked, checked: int, target: float, rule: str, splits: int) -> Outcome:
    """Find the threshold on some rows and answer the others, `splits` times; the same splits for every rule."""
    random, found = np.random.default_rng(0), []
    for _ in range(splits):
        order = random.permutation(len(asked.scores))
        few, rest = (Asked(asked.scores[i], asked.right[i]) for i in (order[:checked], order[checked:]))
        threshold, best = RULES[rule](few, target), plain(rest, target)
        alone = rest.scores >= (np.inf if threshold is None else threshold)
        wrong = float((~rest.right[alone]).mean()) if alone.any() else 0.0
        possible = float((rest.scores >= best).mean()) if best is not None else 0.0
        found.append((wrong > target, float(alone.mean()), possible))
    broken, share, best_share = (np.array(column) for column in zip(*found, strict=True))
    return Outcome(broken.astype(bool), share, best_share)


def rows_needed(asked: Asked, target: float, wanted: float, draws: int, most: int) -> int | None:
    """How many checked rows answer `wanted` of what the best threshold does, drawn from all rows."""
    best = plain(asked, target)
    possible = float((asked.scores >= best).mean()) if best is not None else 0.0
    checked = 250
    while checked <= most:
        random, shares = np.random.default_rng(0), []
        for _ in range(draws):
            drawn = random.integers(0, len(asked.scores), checked)
            threshold = guarantee(Asked(asked.scores[drawn], asked.right[drawn]), target)
            shares.append(0.0 if threshold is None else float((asked.scores >= threshold).mean()))
        if np.mean(shares) >= wanted * possible:
            return checked
        checked = checked * 5 // 4
    return None


def ratio(share: Floats, best: Floats) -> float:
    """The mean of shares over the mean of what was possible; 0 where nothing was."""
    return float(share.mean() / best.mean()) if best.any() else 0.0


def interval(share: Floats, best: Floats | None = None) -> tuple[float, float]:
    """The bootstrap's 95 % interval, in percent, of a mean over `best`'s (2,000 draws of splits, seed 0)."""
    drawn = np.random.default_rng(0).integers(0, len(share), (2000, len(share)))
    found = [ratio(share[rows], np.ones(len(rows)) if best is None else best[rows]) for rows in drawn]
    low, high = np.percentile(100 * np.array(found), [2.5, 97.5])
    return round(float(low), 2), round(float(high), 2)


def figures_of(
    case: Case, asked: Asked, target: float, splits: int, command: str, full: bool
) -> list[Figure]:
    """What each rule broke and answered at one target."""
    checked, found = case.checked(len(asked.scores)), []
    for rule in RULES:
        outcome = split_up(asked, checked, target, rule, splits)
        name = f"{case.name}, {100 * target:g} % may be wrong, {rule}"
        judged, share = rule == "guarantee", case.shares.get(target)
        broken = wilson(int(outcome.broken.sum()), splits)
        found.append(
            Figure(
                f"{name}: broken splits",
                round(100 * broken.value, 2),
                "%",
                (round(100 * broken.low, 2), round(100 * broken.high, 2)),
                splits,
                (0,),
                f"<= {100 * case.broken:g}" if judged else None,
                broken.value <= case.broken if judged and full else None,
                command,
            )
        )
        found.append(
            Figure(
                f"{name}: answered alone, of what the best threshold answers",
                round(100 * outcome.of_best, 2),
                "%",
                interval(outcome.share, outcome.best),
                splits,
                (0,),
                f">= {100 * share:g}" if judged and share is not None else None,
                outcome.of_best >= share if judged and share is not None and full else None,
                command,
            )
        )
        mean = round(100 * float(outcome.share.mean()), 2)
        found.append(
            Figure(
                f"{name}: answered alone", mean, "%", interval(outcome.share), splits, (0,), command=command
            )
        )
    return found


def needs(case: Case, asked: Asked, target: float, command: str, draws: int, most: int) -> list[Figure]:
    """How many checked rows a target takes."""
    found = rows_needed(asked, target, 0.8, draws, most)
    name = (
        f"{case.name}, {100 * target:g} % may be wrong: rows that answer 0.8 of what the best threshold does"
    )
    return [] if found is None else [Figure(name, found, "rows", n=draws, seeds=(0,), command=command)]


def measure_case(case: Case, options: argparse.Namespace, cache: Path, command: str) -> list[Figure]:
    """All figures of one set."""
    step, splits = (QUICK_STEP, QUICK_SPLITS) if options.quick else (1, SPLITS)
    asked = answered(case, options.data, cache, step=step, method="head" if options.quick else options.method)
    say(f"{case.name}: {len(asked.scores)} rows, {100 * asked.right.mean():.1f} % right")
    found = []
    for target in TARGETS:
        found += figures_of(case, asked, target, splits, command, not options.quick)
        draws, most = (10, MOST // 16) if options.quick else (50, MOST)
        found += needs(case, asked, target, command, draws, most)
    return found


def lines(figures: list[Figure]) -> list[Line]:
    """The figures as the picture shows them."""
    found = []
    for figure in figures:
        head, _, what = figure.name.partition(": ")
        parts = head.split(", ")
        if len(parts) == 3 and what in ("broken splits", "answered alone"):
            found.append(
                Line(parts[0], float(parts[1].split(" %")[0]), parts[2], what, figure.value, figure.interval)
            )
    return found


def say(line: str) -> None:
    """Progress, on the other stream."""
    print(line, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch)
        wanted = [case for case in CASES if case.name in (options.only or [c.name for c in CASES])]
        found = [figure for case in wanted for figure in measure_case(case, options, cache, command)]
    found += [] if options.only else measure_time(command, 20 if options.quick else 200)
    if options.plot:
        options.plot.write_text(draw(lines(found)), "utf-8")
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--cache", type=Path, help="a folder that keeps features and scores between runs")
    parser.add_argument("--method", default="auto", help="method of training; default: auto")
    parser.add_argument("--only", action="append", choices=[case.name for case in CASES], help="one data set")
    parser.add_argument("--plot", type=Path, help="write a picture to this file")


if __name__ == "__main__":
    sys.exit(main("support", measure, arguments))
