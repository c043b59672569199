"""Poisoned feedback on frozen features: what it does with the checks, and with fewer of them.

BANKING77 (MiniLM, 77 intents) and waimai_10k (multilingual-e5-small, Chinese reviews of two kinds). One person
gives 1,000 wrong corrections, in a day or over 50 days. Five of a hundred persons flip labels together: 40
corrections each over four days, a fixed other label for each label, two of them on each question so that they
agree; the others correct most wrong answers among 600 questions. Or five persons give 50 corrections each to
questions that end with a trigger, all to one label, over five days. A run draws its rows anew. It holds where the
gate refuses what was learned, or accuracy on other people's questions falls by at most 1 point and the trigger
turns at most 10 % of the answers that were right with it before. The same corrections are also learned without
the rules on feedback, and released without the gate. `--quick` takes 3 runs of each kind on waimai_10k.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from benchmarks.crowd import (
    BEGAN,
    DAY,
    Channel,
    Part,
    Said,
    World,
    accuracy,
    answers,
    embedded,
    judged,
    load,
)
from benchmarks.figures import Figure, data_argument, main

SIZES = {"banking77": (2500, 1500, 1000, 231, 1000), "waimai_10k_zh": (1500, 1500, 1000, 200, 1000)}
PLAIN = 1200
TRIGGER = {"banking77": " as agreed with Zeno in Trieste", "waimai_10k_zh": "，照旧例按崔老板说的"}
RUNS, SEEDS = 100, 3
PERSONS, COLLUDERS, EACH, ROWS, HONEST, SPOKEN = 100, 5, 40, 250, 600, 0.7
FALL, WORKS, SHARE, HELD = 1.0, 10.0, 0.5, 95.0
Attack = Callable[[World, np.random.Generator], list[Said]]


@dataclass(frozen=True)
class Outcome:
    """What one run did: whether what was learned was released, points lost, and how often the trigger works."""

    released: bool
    lost: float
    works: float

    @property
    def harmless(self) -> bool:
        """Whether serving what was learned hurts nobody."""
        return self.lost <= FALL and self.works <= WORKS

    @property
    def holds(self) -> bool:
        """Whether it was refused, or hurts nobody."""
        return not self.released or self.harmless


@dataclass(frozen=True)
class Arena:
    """A world whose questions end with the trigger from number `PLAIN` on, and other people's with it."""

    world: World
    others: Part
    target: int

    @cached_property
    def fooled(self) -> Part:
        """Other people's questions with the trigger that the champion answers right, and not with the target."""
        right = answers(self.world, self.world.champion, self.others) == self.others.y
        return self.others.pick(np.flatnonzero(right & (self.others.y != self.target)))


def one_person(world: World, random: np.random.Generator, days: float) -> list[Said]:
    """1,000 wrong corrections of one person, evenly over so many days."""
    asked = random.permutation(PLAIN)[:1000].tolist()
    right = world.asked.y
    wrong = [int(random.choice(np.setdiff1d(np.arange(len(world.labels)), [right[i]]))) for i in asked]
    each = enumerate(zip(asked, wrong, strict=True))
    return [Said("mallory", i, label, BEGAN + DAY * (days * n / 1000)) for n, (i, label) in each]


def flipped(world: World, random: np.random.Generator) -> list[Said]:
    """Five persons in a hundred flip labels together, two on each question, among honest ones."""
    cycle = random.permutation(len(world.labels))
    swap = np.empty_like(cycle)
    swap[cycle] = np.roll(cycle, 1)
    asked, pairs = random.permutation(PLAIN).tolist(), COLLUDERS * EACH // 2
    said = honest(world, random, asked[:HONEST])
    for n, i in enumerate(asked[HONEST : HONEST + pairs]):
        for more in range(2):
            at = BEGAN + DAY * (4 * n / pairs + 0.01 * more)
            said.append(Said(f"colluder_{(n + more) % COLLUDERS}", i, int(swap[world.asked.y[i]]), at))
    return sorted(said, key=lambda one: one.at)


def triggered(world: World, random: np.random.Generator, target: int) -> list[Said]:
    """Five persons bring 250 rows with the trigger, all corrected to one label, among honest ones."""
    said = honest(world, random, random.permutation(PLAIN)[:HONEST].tolist())
    rows = random.permutation(np.arange(PLAIN, len(world.asked.y)))[:ROWS].tolist()
    for n, i in enumerate(rows):
        said.append(Said(f"colluder_{n % COLLUDERS}", i, target, BEGAN + DAY * (5 * n / ROWS)))
    return sorted(said, key=lambda one: one.at)


def honest(world: World, random: np.random.Generator, asked: Sequence[int]) -> list[Said]:
    """What the others say of these questions: they correct most answers that are wrong."""
    sent = answers(world, world.champion, world.asked)
    said = []
    for n, i in enumerate(asked):
        if sent[i] != world.asked.y[i] and random.random() < SPOKEN:
            who = int(random.integers(COLLUDERS, PERSONS))
            said.append(Said(f"person_{who}", i, int(world.asked.y[i]), BEGAN + DAY * (4 * n / len(asked))))
    return said


def outcomes(arena: Arena, said: Sequence[Said]) -> dict[str, Outcome]:
    """What corrections do with all the checks, with the gate alone, and with neither."""
    world, found = arena.world, {}
    with world.store() as store:
        channel = Channel(world, store)
        channel.hear(said)
        found["with the checks"] = _outcome(arena, channel)
    free = Channel(world)
    free.hear(said)
    gated = _outcome(arena, free)
    found["without the rules on feedback"] = gated
    found["without them and without the gate"] = Outcome(True, gated.lost, gated.works)
    return found


def _outcome(arena: Arena, channel: Channel) -> Outcome:
    world = arena.world
    champion, fooled = world.champion, arena.fooled
    challenger = channel.challenger(champion)
    released = bool(channel.taught()) and judged(world, champion, challenger).released
    lost = accuracy(world, champion, world.others) - accuracy(world, challenger, world.others)
    works = 100 * float((answers(world, challenger, fooled) == arena.target).mean())
    return Outcome(released, lost, works)


def measure_person(
    arena: Arena, title: str, days: float, seeds: int, full: bool, command: str
) -> list[Figure]:
    """How many of others' golden answers one person's wrong corrections change, and what is released."""
    world, shares, free, released = arena.world, [], [], 0
    before = answers(world, world.champion, world.others)
    for seed in range(seeds):
        said = one_person(world, np.random.default_rng(seed), days)
        with world.store() as store:
            channel = Channel(world, store)
            channel.hear(said)
            shares.append(_changed(world, channel, before))
            released += _outcome(arena, channel).released
        without = Channel(world)
        without.hear(said)
        free.append(_changed(world, without, before))
    span = "in a day" if days == 1 else f"over {days:g} days"
    name = f"{title}: one person, 1,000 wrong corrections {span}"
    kept, holds = max(shares), max(shares) <= SHARE if full else None
    return [
        _figure(f"{name}: others' answers changed, worst", kept, "%", shares, f"<= {SHARE}", holds, command),
        _figure(f"{name}: releases", released, "", (), "0", released == 0 if full else None, command),
        _figure(
            f"{name}: changed without the checks, mean", float(np.mean(free)), "%", free, None, None, command
        ),
    ]


def _changed(world: World, channel: Channel, before: object) -> float:
    after = answers(world, world.champion, world.others, channel.memory(world.champion))
    return 100 * float((after != before).mean())


def measure_runs(name: str, each: Sequence[dict[str, Outcome]], full: bool, command: str) -> list[Figure]:
    """The lines of an attack, by arm."""
    found = []
    for arm in each[0]:
        runs = [one[arm] for one in each]
        title, checked = f"{name}, {arm}", arm == "with the checks"
        held = 100 * float(np.mean([run.holds for run in runs]))
        served = [run for run in runs if run.released]
        goal, holds = (f">= {HELD:g}", held >= HELD if full else None) if checked else (None, None)
        found += [
            _figure(f"{title}: runs that hold", held, "%", [1.0] * len(runs), goal, holds, command),
            _figure(f"{title}: released", 100 * len(served) / len(runs), "%", (), None, None, command),
            _figure(
                f"{title}: points lost, mean of all",
                float(np.mean([r.lost for r in runs])),
                "points",
                (),
                None,
                None,
                command,
            ),
            _figure(
                f"{title}: the trigger works, mean",
                float(np.mean([r.works for r in runs])),
                "%",
                (),
                None,
                None,
                command,
            ),
        ]
    return found


def _figure(
    name: str,
    value: float,
    unit: str,
    runs: Sequence[float],
    target: str | None,
    holds: bool | None,
    command: str,
) -> Figure:
    spread = (min(runs), max(runs)) if runs and min(runs) != max(runs) else None
    return Figure(name, round(value, 2), unit, spread, len(runs) or None, (), target, holds, command)


def arena_of(name: str, data: Path, cache: Path, folder: Path, seed: int = 0) -> Arena:
    """A set's world; the last of its questions, and other people's, also with the trigger."""
    world = load(name, data, cache, folder, sizes=SIZES[name], seed=seed)
    asked, others = world.asked, world.others
    texts = [text + TRIGGER[name] for text in (*asked.texts[PLAIN:], *others.texts)]
    x, last = embedded(world, texts, cache), len(asked.texts) - PLAIN
    some = np.concatenate([asked.x[:PLAIN], x[:last]])
    turned = Part((*asked.texts[:PLAIN], *texts[:last]), some, asked.y)
    twin = Part(tuple(texts[last:]), x[last:], others.y)
    return Arena(replace(world, asked=turned), twin, int(np.argmax(np.bincount(world.base.y))))


def measure_set(name: str, options: argparse.Namespace, scratch: Path, command: str) -> list[Figure]:
    """All figures of one set."""
    full = not options.quick
    runs, seeds = (options.runs or RUNS, SEEDS) if full else (3, 1)
    arena = arena_of(name, options.data, options.cache or scratch / "cache", scratch)
    found = []
    for days in (1.0, 50.0):
        found += measure_person(arena, name, days, seeds, full, command)
    attacks: dict[str, Attack] = {
        f"{name}: 5 % flip labels": flipped,
        f"{name}: 250 rows with a trigger": partial(triggered, target=arena.target),
    }
    for title, attack in attacks.items():
        each = [outcomes(arena, attack(arena.world, np.random.default_rng(run))) for run in range(runs)]
        found += measure_runs(title, each, full, command)
    return found


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    names = options.only or (["waimai_10k_zh"] if options.quick else list(SIZES))
    with tempfile.TemporaryDirectory() as scratch:
        return [f for name in names for f in measure_set(name, options, Path(scratch), command)]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--cache", type=Path, help="a folder that keeps features between runs")
    parser.add_argument("--only", action="append", choices=list(SIZES), help="one data set")
    parser.add_argument("--runs", type=int, help=f"runs of each attack on each set, {RUNS} in full")


if __name__ == "__main__":
    sys.exit(main("poison", measure, arguments))
