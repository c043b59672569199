"""Paired rounds: the sides of a comparison take turns, and a ratio is made within each round.

A machine that slows down for a second slows both sides of a round alike. Cost is cpu-seconds, which other
processes do not move much; a side says itself what it cost, since a peer is another process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.figures import Figure

ROUNDS = 9


@dataclass(frozen=True)
class Target:
    """What a figure must reach: `sign` is ">=" or "<="."""

    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"

    def holds(self, value: float) -> bool:
        """Whether `value` reaches it."""
        return value >= self.bound if self.sign == ">=" else value <= self.bound


def at_least(bound: float) -> Target:
    """A value to reach."""
    return Target(">=", bound)


def at_most(bound: float) -> Target:
    """A value not to pass."""
    return Target("<=", bound)


def cpu_seconds(work: Callable[[], object]) -> float:
    """What `work` costs this process, all its threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def paired(sides: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """The cost of each side in each round, after one round to warm up; every other round goes backwards."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):
        order = list(sides)[:: 1 if number % 2 else -1]
        costs = {name: sides[name]() for name in order}
        if number >= 0:
            for name, cost in costs.items():
                found[name].append(cost)
    return found


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """`over` / `under`, round by round."""
    return [a / b for a, b in zip(over, under, strict=True)]


def median_figure(
    name: str,
    values: Sequence[float],
    unit: str,
    command: str,
    target: Target | None = None,
    *,
    judged: bool = True,
) -> Figure:
    """The median of rounds with its 95 % bootstrap interval; `judged` False leaves open whether it holds."""
    array = np.asarray(values, np.float64)
    drawn = np.random.default_rng(0).integers(0, len(array), (2000, len(array)))
    low, high = np.percentile(np.median(array[drawn], axis=1), [2.5, 97.5])
    middle = float(np.median(array))
    return Figure(
        name,
        significant(middle),
        unit,
        (significant(float(low)), significant(float(high))),
        len(array),
        target=None if target is None else str(target),
        holds=target.holds(middle) if target and judged else None,
        command=command,
    )


def significant(value: float, digits: int = 4) -> float:
    """`value` with that many digits."""
    return float(f"{value:.{digits}g}")


def pin(core: int) -> set[int]:
    """Let this process run on one core alone; gives the cores it had."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    return before
