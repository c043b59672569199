"""False releases over many channels and nights, how soon better challengers are found, and the watch after.

A judged pair is a row that was drawn for audit, rows on which both adapters agree included; 10 % of the rows
differ, that is, one of the two alone is right. Levels are those that 1,000 channels leave to their first and
to their 20th challenger. In a null history every challenger is exactly as good as its champion, the hardest
case, has up to 512 differing pairs (some 5,000 judged ones), and is looked at after every one. In a mixed one
30 % of the challengers are better, by 2, 4 or 8 points, and 10 % worse by 2. A drop means that the new adapter
loses so many points on top of 10 % of differing rows; the watch begins with the drop, which is its slowest
case, and is told of differing answers alone, which a person judges: these are what its false alarms are
counted by, while the 500 answers of a drop count agreements too. `--quick` makes everything smaller.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import gate_peers, gate_worlds
from benchmarks.figures import Figure, main
from benchmarks.gate_worlds import DISAGREEMENT, Bools
from headrace.evaluation.intervals import wilson
from headrace.release.evidence import judged_needed
from headrace.release.selection import Rule, level

ALPHA, FALSE_ALARM, SEED, CHANNELS = 0.05, 10_000, 0, 1000
HELD_OUT, ACCURACY, SOON, LATEST = 1000, 0.8, 500, 2000
GAINS = ((8, 1000, 95.0), (4, 3000, 85.0), (2, 3000, None))  # points better, judged pairs, % asked
DROPS = ((10, 95.0), (5, None), (3, None))
AT_LEAST, AT_MOST = ">=", "<="

Target = tuple[str, float]


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    histories: int = 400
    channels: int = CHANNELS
    numbers: int = 20
    most: int = 512
    mixed: int = 400
    runs: int = 20_000
    slow: int = 4000
    streams: int = 2000
    answers: int = 50_000


QUICK = Size(
    histories=100, channels=200, most=256, mixed=10, runs=4000, slow=400, streams=400, answers=10_000
)


@dataclass(frozen=True)
class Run:
    """What all figures of a run share."""

    size: Size
    command: str
    full: bool

    def share(self, name: str, found: Bools, target: Target | None = None) -> Figure:
        """How many in a hundred, with Wilson's interval."""
        return self.part(name, int(found.sum()), found.size, target)

    def part(self, name: str, some: int, of: int, target: Target | None = None) -> Figure:
        """`some` of so many in percent, with Wilson's interval."""
        estimate = wilson(some, of)
        return self.figure(
            name, 100 * estimate.value, "%", (100 * estimate.low, 100 * estimate.high), of, target
        )

    def figure(
        self,
        name: str,
        value: float,
        unit: str,
        interval: tuple[float, float] | None = None,
        n: int | None = None,
        target: Target | None = None,
    ) -> Figure:
        """A figure, judged where it has a target and the run is a full one."""
        said, holds = None, None
        if target is not None:
            said = f"{target[0]} {target[1]:g}"
            within = value >= target[1] if target[0] == AT_LEAST else value <= target[1]
            holds = within if self.full else None
        between = None if interval is None else (round(interval[0], 5), round(interval[1], 5))
        return Figure(name, round(value, 5), unit, between, n, (SEED,), said, holds, self.command)


def rng(part: int) -> np.random.Generator:
    """A stream of its own for each part, so that one may change without the others."""
    return np.random.default_rng([SEED, part])


def null(run: Run) -> list[Figure]:
    """Histories in which no challenger is better, by our rules and by the peers'."""
    size = run.size
    tests = size.channels * size.numbers
    title = f"none better, {size.channels:,} channels x {size.numbers}: false histories"
    levels = gate_worlds.ledger(size.numbers, size.channels, ALPHA)
    own = gate_worlds.null_histories(
        [gate_worlds.bars(size.most, each) for each in levels], size.histories, rng(1)
    )
    shape = (size.numbers, size.channels, size.most)
    together = gate_worlds.null_histories_together(*shape, ALPHA, size.histories, rng(2))
    found = [run.share(title, own, (AT_MOST, 5)), run.share(f"{title}, e-BH", together, (AT_MOST, 5))]
    for part, (name, at) in enumerate((("5 %", ALPHA), (f"5 % / {tests:,}", ALPHA / tests))):
        bar = np.repeat(gate_peers.z_bar(size.most, at)[:, None], size.channels, axis=1)
        false = gate_worlds.null_histories([bar] * size.numbers, size.histories, rng(3 + part))
        found.append(run.share(f"{title}, z-test at {name}, peeking", false))
    held = gate_peers.hold_out(0.0, HELD_OUT, DISAGREEMENT, (size.histories, tests), rng(5))
    found.append(
        run.share(f"{title}, more right of {HELD_OUT:,} held-out rows", np.asarray(held.any(axis=1)))
    )
    best, _ = gate_peers.track_and_stop((ACCURACY, ACCURACY), 6000, ALPHA, 5 * size.slow, rng(6))
    return [*found, run.share("none better: false releases, track-and-stop at 5 % each", best == 1)]


def mixed(run: Run) -> list[Figure]:
    """Histories in which some challengers are better, by both rules."""
    return [*_mixed(run, "any", (AT_MOST, 5)), *_mixed(run, "share", None)]


def _mixed(run: Run, rule: Rule, target: Target | None) -> list[Figure]:
    size = run.size
    pairs = min(304, size.most)
    life = gate_worlds.mixed_histories(rule, size.numbers, size.channels, pairs, ALPHA, size.mixed, rng(7))
    title = f"30 % better, {'e-BH' if rule == 'share' else 'ours'}"
    rates, false = 100 * life.proportions, life.false
    found = [
        run.share(f"{title}: false histories", false > 0, target),
        run.figure(
            f"{title}: false releases of a history", float(false.mean()), "", _spread(false), len(false)
        ),
        run.figure(f"{title}: false discovery rate", float(rates.mean()), "%", _spread(rates), len(rates)),
    ]
    better = {kind: counts for kind, counts in life.by_kind.items() if kind > 0}
    return found + [
        run.part(f"{title}: released of those better by {kind}, {pairs} differing pairs", *counts)
        for kind, counts in better.items()
    ]


def _spread(values: NDArray[np.number]) -> tuple[float, float]:
    """The normal interval of a mean that is not below 0."""
    middle, half = float(values.mean()), 1.96 * float(values.std()) / len(values) ** 0.5
    return max(0.0, middle - half), middle + half


def power(run: Run) -> list[Figure]:
    """How many better challengers are released in time, beside the peers."""
    return [figure for part in range(len(GAINS)) for figure in _power(run, part)]


def _power(run: Run, part: int) -> list[Figure]:
    points, pairs, asked = GAINS[part]
    gain = points / 100
    wins, at = gate_worlds.walks(gain, pairs, run.size.runs, rng(10 + part))
    most = wins.shape[1]
    title = f"{points} points better, {pairs:,} judged pairs: released"
    found = []
    for number in (1, 20):
        own_level = level(number, ALPHA / CHANNELS)
        bar = gate_worlds.bars(most, np.array([own_level]))[:, 0]
        first = gate_worlds.first_pair(wins, at, bar)
        target = None if asked is None else (AT_LEAST, asked)
        found.append(run.share(f"{title}, challenger {number}", first <= pairs, target))
        needed = judged_needed(DISAGREEMENT, gain, own_level)
        name = f"{points} points better: judged pairs that are expected, challenger {number}"
        found.append(run.figure(name, float(needed or 0), "pairs"))
    for name, at_level in (("5 %", ALPHA), ("5 % / 20,000", ALPHA / 20_000)):
        first = gate_worlds.first_pair(wins, at, gate_peers.z_bar(most, at_level))
        found.append(run.share(f"{title}, z-test at {name}, peeking", first <= pairs))
    held = gate_peers.hold_out(gain, HELD_OUT, DISAGREEMENT, (run.size.runs,), rng(20 + part))
    found.append(
        run.share(f"{points} points better: released, more right of {HELD_OUT:,} held-out rows", held)
    )
    means = (ACCURACY, ACCURACY + gain)
    best, _ = gate_peers.track_and_stop(
        means, 2 * pairs, level(1, ALPHA / CHANNELS), run.size.slow, rng(30 + part)
    )
    return [*found, run.share(f"{title}, track-and-stop, challenger 1", best == 1)]


def watch(run: Run) -> list[Figure]:
    """How soon a drop is taken back, and how often a watch errs where nothing changes."""
    size = run.size
    found = [figure for part in range(len(DROPS)) for figure in _drop(run, part)]
    count, _ = gate_worlds.alarms(0.5, size.answers, size.streams, FALSE_ALARM, rng(45))
    tens = size.answers * size.streams / 10_000
    low, high = (max(0.0, count + sign * 1.96 * count**0.5) / tens for sign in (-1, 1))
    name = "no change: false alarms in 10,000 judged answers that differ"
    found.append(run.figure(name, count / tens, "alarms", (low, high), count, (AT_MOST, 1)))
    _, first = gate_worlds.alarms(0.75, SOON, size.runs, FALSE_ALARM, rng(46), agree=0.8)
    name = f"drop of 10 points: taken back within {SOON}, agreements told as well"
    found.append(run.share(name, first <= SOON))
    _, first = gate_worlds.alarms(0.65, SOON, size.runs, FALSE_ALARM, rng(47))
    first = gate_worlds.judged(first, 0.2, rng(48))
    name = f"drop of 10 points of one that was 4 better: taken back within {SOON}"
    return [*found, run.share(name, first <= SOON)]


def _drop(run: Run, part: int) -> list[Figure]:
    points, asked = DROPS[part]
    differing = DISAGREEMENT + points / 100
    lost = 1 - DISAGREEMENT / 2 / differing
    _, told = gate_worlds.alarms(lost, LATEST, run.size.runs, FALSE_ALARM, rng(40 + part))
    first = gate_worlds.judged(told, differing, rng(50 + part))
    target = None if asked is None else (AT_LEAST, asked)
    title = f"drop of {points} points"
    middle = float(np.median(first))
    return [
        run.share(f"{title}: taken back within {SOON} judged answers", first <= SOON, target),
        run.figure(f"{title}: judged answers until then, median", middle, "answers"),
    ]


PARTS = {"null": null, "mixed": mixed, "power": power, "watch": watch}


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    run = Run(QUICK if options.quick else Size(), command, full=not options.quick)
    return [figure for name in options.only or PARTS for figure in PARTS[name](run)]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--only", action="append", choices=list(PARTS), help="one part")


if __name__ == "__main__":
    sys.exit(main("gate", measure, arguments))
