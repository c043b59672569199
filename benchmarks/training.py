"""What training costs, from rows to the saved adapter, in cpu-seconds of all threads, beside its peers.

BANKING77, twitter_financial_sentiment and waimai_10k. The features of a set are computed once, and what they
cost is added to every run of every set-up; choices on validation rows that the seed draws, test rows looked
at once a run. Peers are read from `results/training_peers.json`; `--peers` runs them again, each in its own
environment, which takes hours. `--quick` takes every fourth row of BANKING77, the head alone, and no figure
of a peer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, data_argument, main
from benchmarks.timing import Target, at_least
from benchmarks.training_peers import Run, best_of, read_runs, run_peers, timed_channels
from benchmarks.training_plot import draw
from benchmarks.training_sets import SETS, Set, accuracy, channels, parts
from headrace.models.base import resolve
from headrace.models.methods.lora import Options
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example
from headrace.tuning.features import prefix_of
from headrace.tuning.train import Trained, train

SETUPS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "head, words only": ("head", {"characters": "off", "strength": 30.0}),
    "head": ("head", {}),
    "q,v + words": ("lora", {"modules": "qv"}),
    "auto": ("auto", {}),
    "best": ("lora", {"words": 60_000, "refit": True}),
}
WANTED = 93.1
RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parent.parent / "docs" / "training.svg"


@dataclass(frozen=True)
class Cost:
    """A set-up's runs on a set: cpu-seconds, validation and test accuracy of each seed, in percent."""

    setup: str
    cpu: tuple[float, ...]
    validation: tuple[float, ...]
    test: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median cpu-seconds."""
        return float(np.median(self.cpu))

    @property
    def accuracy(self) -> float:
        """Mean test accuracy."""
        return float(np.mean(self.test))


def fit(
    learned: Sequence[Example], held: Sequence[Example], task: TaskRecipe, setup: str, seed: int, cache: Path
) -> tuple[Trained, float]:
    """An adapter and the cpu-seconds that it took, the files written to disk included."""
    method, options = SETUPS[setup]
    settings = TrainRecipe(method=method, options=dict(options))
    began = time.process_time()
    trained = train(learned, validation=held, task=task, settings=settings, seed=seed, cache=cache)
    for name, content in trained.files.items():
        (cache / name).write_bytes(content)
    return trained, time.process_time() - began


def measure_set(
    one: Set, data: Path, task: TaskRecipe, setups: Sequence[str], seeds: Sequence[int], step: int
) -> list[Cost]:
    """Every seed of every set-up over one cache; the pass that fills it is a part of each run's cost."""
    learned, held, judged = parts(data, one, step)
    with tempfile.TemporaryDirectory() as folder:
        texts = [example.text for example in (*learned, *held)]
        filling = {kind: fill(task, Path(folder) / kind, texts, kind) for kind in ("head", "lora", "auto")}
        say(f"{one.name}: features of {len(texts)} rows {filling} cpu-s")
        return [
            measure_setup(
                one,
                (learned, held, judged),
                task,
                setup,
                seeds,
                Path(folder) / "auto",
                filling[SETUPS[setup][0]],
            )
            for setup in setups
        ]


def fill(task: TaskRecipe, cache: Path, texts: Sequence[str], method: str) -> float:
    """Fill a cache with what a method asks of it; the cpu-seconds."""
    began = time.process_time()
    prefix = prefix_of(task, cache)
    below = prefix.base.layers - Options().top(prefix.base.layers)
    if method == "head":
        prefix.pooled(texts)
    elif method == "lora":
        prefix.hidden(texts, below)
    else:
        prefix.warm(texts, below)
    return time.process_time() - began


def measure_setup(
    one: Set,
    rows: tuple[list[Example], list[Example], list[Example]],
    task: TaskRecipe,
    setup: str,
    seeds: Sequence[int],
    cache: Path,
    filling: float,
) -> Cost:
    """Every seed of a set-up."""
    learned, held, judged = rows
    found = []
    for seed in seeds:
        trained, spent = fit(learned, held, task, setup, seed, cache)
        right = accuracy(trained.files, task, cache, judged)
        found.append((filling + spent, 100 * trained.validation_accuracy, right))
        said = "; ".join(trained.notes)
        say(f"{one.name}, {setup}, seed {seed}: {filling + spent:.1f} cpu-s, {right:.2f} %; {said}")
    cpu, validation, test = zip(*found, strict=True)
    return Cost(setup, cpu, validation, test)


def figures_of(one: Set, cost: Cost, seeds: Sequence[int], command: str, label: str) -> list[Figure]:
    """A set-up's accuracy and cost."""

    def figure(value: float, unit: str, seen: tuple[float, ...]) -> Figure:
        spread = (round(min(seen), 2), round(max(seen), 2))
        name = f"{label}: {cost.setup}"
        return Figure(name, round(value, 2), unit, spread, len(seen), tuple(seeds), command=command)

    return [figure(cost.accuracy, "% accuracy", cost.test), figure(cost.seconds, "cpu-s", cost.cpu)]


def cheapest(costs: Sequence[Cost], wanted: float) -> Cost | None:
    """The cheapest set-up whose mean test accuracy reaches `wanted`."""
    enough = [cost for cost in costs if cost.accuracy >= wanted]
    return min(enough, key=lambda cost: cost.seconds) if enough else None


def ratio(name: str, ours: Cost | None, theirs: float | None, target: Target, command: str) -> list[Figure]:
    """How many times our cpu-seconds a peer needs; nothing where the peer has not run, 0 where we fall short."""
    if theirs is None:
        return []
    value = 0.0 if ours is None else theirs / ours.seconds
    said = f"{name} (ours: {'none reaches it' if ours is None else ours.setup})"
    return [Figure(said, round(value, 2), "x", None, None, (), str(target), target.holds(value), command)]


def against_peers(one: Set, costs: Sequence[Cost], runs: Sequence[Run], command: str) -> list[Figure]:
    """The figures that compare a set's costs with the peers'."""
    mine = [run for run in runs if run.set == one.name]
    loop = best_of(mine, "peft_tuned")
    figures = []
    for run in filter(None, (loop, best_of(mine, "trainer_peft"), best_of(mine, "sentence_head"))):
        figures += [
            Figure(f"{one.name}: {run.said}", round(run.test, 2), "% accuracy", None, run.n, command=command),
            Figure(f"{one.name}: {run.said}", round(run.cpu_s, 1), "cpu-s", None, run.n, command=command),
        ]
    if one.name == "banking77":
        ours = cheapest(costs, WANTED)
        wanted = (("peft_tuned", 5.0), ("trainer_peft", 20.0))
        for peer, times in wanted:
            name = f"{one.name}: {peer} over ours that reaches {WANTED:g} %"
            theirs = best_of(mine, peer)
            figures += ratio(name, ours, theirs.cpu_s if theirs else None, at_least(times), command)
        encoder = best_of(mine, "sentence_head")
        if encoder is not None:
            name = f"{one.name}: sentence_head over ours that reaches its {encoder.test:.2f} %"
            figures += ratio(name, cheapest(costs, encoder.test), encoder.cpu_s, at_least(2.5), command)
    elif loop is not None:
        bound = loop.test - 0.5
        name = f"{one.name}: peft_tuned over ours that reaches {bound:.2f} %"
        figures += ratio(name, cheapest(costs, bound), loop.cpu_s, at_least(3.0), command)
    return figures


def measure_channels(data: Path, runs: Sequence[Run], command: str) -> list[Figure]:
    """Ten channels after a first, over one cache that holds none of their texts; a PEFT run for each beside."""
    figures = []
    theirs, target = timed_channels(runs), at_least(8.0)
    for setup, asked in (("head, words only", True), ("head", False)):
        with tempfile.TemporaryDirectory() as folder:
            spent = [fit(rows, (), TaskRecipe(), setup, 0, Path(folder))[1] for rows in channels(data)][1:]
        each = float(np.mean(spent))
        seen = (round(min(spent), 2), round(max(spent), 2))
        name = f"ten more channels of 2,000 rows, {setup}"
        figures.append(Figure(f"{name}: each", round(each, 2), "cpu-s", seen, len(spent), command=command))
        if theirs is not None:
            value, said = theirs / each, str(target) if asked else None
            holds = target.holds(value) if asked else None
            name = f"{name}: a PEFT run each over ours"
            figures.append(Figure(name, round(value, 2), "x", None, len(spent), (), said, holds, command))
    return figures


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    bases = Path(tempfile.gettempdir()) / "headrace-benchmark-bases"
    if options.peers:
        run_peers(options.data, RESULTS / "training_peers.json", bases, say)
    runs, drawn, figures = read_runs(RESULTS / "training_peers.json"), {}, []
    for one in [one for one in SETS if one.name in (options.only or [s.name for s in SETS])]:
        if options.quick and one.name != "banking77":
            continue
        base = resolve(one.base, bases)
        task = TaskRecipe(base=str(base.path), prefix=base.prefix)
        step, setups = (4, ["head, words only"]) if options.quick else (1, options.setup or list(SETUPS))
        seeds = one.seeds[:1] if options.quick else one.seeds
        label = f"{one.name}, every 4th row" if options.quick else one.name
        costs = measure_set(one, options.data, task, setups, seeds, step)
        figures += [figure for cost in costs for figure in figures_of(one, cost, seeds, command, label)]
        drawn[one.name] = [(cost.setup, cost.seconds, cost.accuracy) for cost in costs]
        figures += [] if options.quick else against_peers(one, costs, runs, command)
    if not options.quick:
        figures += measure_channels(options.data, runs, command)
        PICTURE.write_text(draw(drawn, runs), "utf-8")
    return figures


def say(line: str) -> None:
    """Progress, on the other stream."""
    print(line, file=sys.stderr, flush=True)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--peers", action="store_true", help="run the peers again, one at a time")
    parser.add_argument("--only", action="append", choices=[one.name for one in SETS], help="one data set")
    parser.add_argument("--setup", action="append", choices=list(SETUPS), help="one of our set-ups")


if __name__ == "__main__":
    sys.exit(main("training", measure, arguments))
