"""Streams of verdicts, some of them wrong: what learning from them does, with the checks and without.

2,000 verdicts of 200 persons over 20 days on BANKING77 (MiniLM) and SMP2017 (multilingual-e5-small), of which
0, 10 or 30 % are wrong, 5 seeds each. Persons speak as often as Zipf's law has it, and how often each is wrong
is drawn from a beta distribution of that mean (a + b = 2): some nearly always, most seldom. Who is right confirms
a right answer and corrects a wrong one. Who is wrong corrects a right answer, half the time to the label that
comes next and else to any, and confirms a wrong one or corrects it to another wrong label. Verdicts count in
the memory at once; every 500 there is a turn. Accuracy on other people's questions is taken before and after
each turn; the figure is its worst moment beside the adapter that learns nothing. `--quick` takes one seed of
SMP2017.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.crowd import BEGAN, DAY, Channel, Head, Ints, Said, World, accuracy, answers, judged, load
from benchmarks.figures import Figure, data_argument, main

SIZES = {"banking77": (2500, 2000, 1000, 231, 1000), "smp2017_ecdt_zh": (1000, 1299, 600, 93, 744)}
WRONG = (0.0, 0.1, 0.3)
VERDICTS, TURN, PERSONS, DAYS, SEEDS = 2000, 500, 200, 20, 5
SPREAD = 2.0


@dataclass(frozen=True)
class Course:
    """Points of accuracy above learning nothing, at the worst moment and in the end; percent that was held."""

    worst: float
    end: float
    held: float


class Crowd:
    """Persons who judge answers; the same seed gives the same persons and the same questions."""

    def __init__(self, world: World, wrong: float, seed: int) -> None:
        self._world, self._random = world, np.random.default_rng(seed)
        shape = (SPREAD * wrong, SPREAD * (1 - wrong))
        self._wrong = self._random.beta(*shape, PERSONS) if wrong else np.zeros(PERSONS)
        often = 1 / np.arange(1, PERSONS + 1)
        self._who = self._random.choice(PERSONS, VERDICTS, p=often / often.sum())
        drawn = [self._random.permutation(len(world.asked.y)) for _ in range(2)]
        self._asked = np.concatenate(drawn)[:VERDICTS]

    def verdicts(self, begins: int, sent: Ints, next_best: Ints) -> Iterator[Said]:
        """The next `TURN` verdicts on the answers `sent`; `next_best` are the labels that come next."""
        for n in range(begins, begins + TURN):
            who, asked = int(self._who[n]), int(self._asked[n])
            right = int(self._world.asked.y[asked])
            errs = bool(self._random.random() < self._wrong[who])
            label = self._mistaken(right, int(sent[asked]), int(next_best[asked])) if errs else right
            at = BEGAN + DAY * (DAYS * n / VERDICTS)
            yield Said(f"person_{who}", asked, label, at, right=label == sent[asked])

    def _mistaken(self, right: int, sent: int, following: int) -> int:
        """What somebody who is wrong says."""
        near = bool(self._random.random() < 0.5)
        if sent != right and near:
            return sent
        others = [k for k in range(len(self._world.labels)) if k not in (right, sent)]
        if following in others and near:
            return following
        return int(self._random.choice(others)) if others else int(1 - right)


def course(world: World, wrong: float, seed: int, *, checks: bool) -> Course:
    """What a stream does to a channel."""
    if not checks:
        return _course(world, Crowd(world, wrong, seed), Channel(world), checks=False)
    with world.store() as store:
        return _course(world, Crowd(world, wrong, seed), Channel(world, store), checks=True)


def _course(world: World, crowd: Crowd, channel: Channel, *, checks: bool) -> Course:
    head = world.champion
    first = accuracy(world, head, world.others)
    seen = [first]
    for begins in range(0, VERDICTS, TURN):
        sent = answers(world, head, world.asked, channel.memory(head))
        channel.hear(list(crowd.verdicts(begins, sent, _next_best(world, head, sent))), head)
        seen.append(accuracy(world, head, world.others, channel.memory(head)))
        challenger = channel.challenger(head)
        if not checks or judged(world, head, challenger).released:
            head = challenger
        seen.append(accuracy(world, head, world.others, channel.memory(head)))
    return Course(min(seen) - first, seen[-1] - first, 100 * channel.held())


def _next_best(world: World, head: Head, sent: Ints) -> Ints:
    scores = head.scores(world.asked.x)
    scores[np.arange(len(sent)), sent] = -1
    return np.asarray(scores.argmax(axis=1), dtype=np.intp)


def figures_of(
    name: str, courses: Sequence[Course], wrong: float, *, checks: bool, full: bool
) -> list[Figure]:
    """The lines of one set, share and arm."""
    arm = "with the checks" if checks else "without the checks"
    title = f"{name}, {100 * wrong:.0f} % wrong, {arm}"
    worst = [one.worst for one in courses]
    low = min(worst)
    command = "python -m benchmarks.streams" + ("" if full else " --quick")
    seeds = tuple(range(len(courses)))
    target = ">= -1" if checks else None
    holds = low >= -1 if checks and full else None
    spread = (low, max(worst))
    made = [
        Figure(
            f"{title}: worst moment of all streams",
            round(low, 2),
            "points",
            spread,
            len(courses),
            seeds,
            target,
            holds,
            command,
        ),
        Figure(
            f"{title}: in the end, mean",
            round(float(np.mean([one.end for one in courses])), 2),
            "points",
            n=len(courses),
            seeds=seeds,
            command=command,
        ),
    ]
    held = Figure(
        f"{title}: corrections held, mean",
        round(float(np.mean([one.held for one in courses])), 1),
        "%",
        n=len(courses),
        seeds=seeds,
        command=command,
    )
    return [*made, held] if checks else made


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    full = not options.quick
    names = options.only or (list(SIZES) if full else ["smp2017_ecdt_zh"])
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch) / "cache"
        for name in names:
            worlds = [
                load(name, options.data, cache, Path(scratch), sizes=SIZES[name], seed=seed)
                for seed in range(SEEDS if full else 1)
            ]
            for wrong in WRONG:
                for checks in (True, False):
                    courses = [course(w, wrong, seed, checks=checks) for seed, w in enumerate(worlds)]
                    found += figures_of(name, courses, wrong, checks=checks, full=full)
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--cache", type=Path, help="a folder that keeps features between runs")
    parser.add_argument("--only", action="append", choices=list(SIZES), help="one data set")


if __name__ == "__main__":
    sys.exit(main("streams", measure, arguments))
