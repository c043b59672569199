"""The guarantee over time: how often is the threshold too low at some moment while checks come in?

Simulated shops whose answers' chance to be wrong is known at every score. Each gathers 2,000 checks and is
looked at as the desk looks, and, beside it, as if every moment's threshold were taken.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure
from headrace.apps.support.guarantee import last_look
from headrace.evaluation.intervals import wilson
from headrace.evaluation.risk import certify, error_free

Floats = NDArray[np.float64]
TARGET, CONFIDENCE, WINDOW, BETWEEN = 0.05, 0.95, 2000, 20
SHOPS: dict[str, Callable[[Floats], Floats]] = {
    "unsure": lambda u: 0.9 * (1 - u) ** 2 + 0.005,
    "sure": lambda u: 0.6 * (1 - u) ** 3 + 0.002,
    "in two halves": lambda u: np.where(u > 0.5, 0.01, 0.5),
}
"""Chance to be wrong by score, which is uniform in 0 to 1."""
GRID = np.linspace(1, 0, 100_001)


def measure_time(command: str, shops: int) -> list[Figure]:
    """What the desk's looks and every moment's thresholds led to, of `shops` of each kind."""
    found = []
    for name, wrong in SHOPS.items():
        errors = np.cumsum(wrong(GRID)) / np.arange(1, len(GRID) + 1)
        random = np.random.default_rng(0)
        seen = [_shop(random, wrong, errors) for _ in range(shops)]
        looked, every = np.array([one for one, _ in seen]), np.array([other for _, other in seen])
        title = f"simulated, answers {name}, 5 % may be wrong, {WINDOW} checks one by one"
        for said, moments in (("by the desk's looks", looked), ("by every moment", every)):
            ever = wilson(int(moments.any(axis=1).sum()), shops)
            figure = f"{title}: too low at some time, {said}"
            between = (round(100 * ever.low, 2), round(100 * ever.high, 2))
            found.append(
                Figure(figure, round(100 * ever.value, 2), "%", between, shops, (0,), command=command)
            )
        share = round(100 * float(looked.mean()), 2)
        found.append(Figure(f"{title}: share of the time", share, "%", n=shops, seeds=(0,), command=command))
    return found


def _shop(
    random: np.random.Generator, wrong: Callable[[Floats], Floats], errors: Floats
) -> tuple[list[bool], list[bool]]:
    """Whether the threshold was too low at each moment: by the desk's looks, and by all checks so far."""
    scores = random.random(WINDOW)
    right = random.random(WINDOW) >= wrong(scores)
    first = error_free(TARGET, CONFIDENCE)
    known: dict[int, float] = {}

    def threshold(checks: int) -> float:
        if checks not in known:
            found = certify(scores[:checks], right[:checks], TARGET, CONFIDENCE).threshold
            known[checks] = np.inf if found is None else found
        return known[checks]

    def too_low(at: float) -> bool:
        return bool(np.isfinite(at)) and bool(errors[round((1 - at) * (len(GRID) - 1))] > TARGET)

    moments = range(first, WINDOW + 1, BETWEEN)
    looked = [max(threshold(n), threshold(last_look(n, first, WINDOW))) for n in moments]
    return [too_low(at) for at in looked], [too_low(threshold(n)) for n in moments]
