"""What a challenger must hold beside its accuracy: classes, slices, golden rows, size, work, calibration.

A class or a slice fell where the loss on its rows is above the margin and sure. Sure is McNemar's exact test,
one-sided: given which rows differ, an adapter as good as the champion loses each of them with a chance of 1/2
at most, however often the two differ. Over all classes and slices together the chance that an equally good
one is refused is held to 1 - confidence by the Bonferroni bound as R. E. Tarone sharpened it for discrete
data (A modified Bonferroni method for discrete data, Biometrics 46, 1990): what differs on too few rows ever
to be refused costs the others nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from headrace.errors import InputError
from headrace.evaluation.calibration import calibration_growth
from headrace.evaluation.compare import Outcomes, surely_lost
from headrace.recipe import GateRecipe
from headrace.records import Json

Slices = Mapping[str, Sequence[str]]
FEW = 10
"""Rows of a class below which it also counts in the slice of all such classes."""


@dataclass(frozen=True)
class Check:
    """One thing that a challenger must hold: whether it does, and the figures, as JSON."""

    name: str
    passed: bool
    figures: Json = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """A JSON object of name, verdict and figures."""
        return {"check": self.name, "passed": self.passed, **self.figures}


@dataclass(frozen=True)
class Shown:
    """What an adapter showed: its answers on held-out rows, how sure it was of each [n], and on golden rows.

    `watched` are the rows whose classes and slices are looked at, each text once; `slices` maps a kind of slice
    to the value of each of them, "" where it is in none. `size` is the adapter's own bytes, `work` the bytes of
    weights that a row goes through.
    """

    outcomes: Outcomes
    golden: Outcomes
    watched: Outcomes
    sure: NDArray[np.float64]
    slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    size: int = 0
    work: float = 0.0

    @classmethod
    def of_all(cls, each: Sequence[Shown]) -> Shown:
        """Several channels together, each row once; the largest size and work. Raises ValueError for none."""
        first = max(each, key=lambda shown: shown.work)
        return cls(
            _joined([shown.outcomes for shown in each], [range(len(s.outcomes.rows)) for s in each]),
            _joined([shown.golden for shown in each], _once([shown.golden for shown in each])),
            _joined([shown.watched for shown in each], once := _once([shown.watched for shown in each])),
            np.concatenate([shown.sure for shown in each]),
            {
                kind: tuple(s.slices[kind][i] for s, places in zip(each, once, strict=True) for i in places)
                for kind in first.slices
            },
            max(shown.size for shown in each),
            first.work,
        )


def checks_of(gate: GateRecipe, champion: Shown | None, challenger: Shown, *, seed: int = 0) -> list[Check]:
    """Every check that the recipe asks for; without a champion only its size can be checked."""
    size = size_check(challenger.size, gate.size)
    if champion is None:
        return [size]
    sure = gate.confidence
    return [
        floor_check(
            champion.watched,
            challenger.watched,
            challenger.slices,
            margin_points=gate.slice_margin,
            confidence=sure,
        ),
        golden_check(champion.golden, challenger.golden, margin_points=gate.margin, confidence=sure),
        size,
        work_check(champion.work, challenger.work, gate.latency),
        calibration_check(champion, challenger, points=gate.calibration, confidence=sure, seed=seed),
    ]


def floor_check(
    champion: Outcomes,
    challenger: Outcomes,
    slices: Slices,
    *,
    margin_points: float,
    confidence: float = 0.95,
) -> Check:
    """Whether no class and no slice fell: by more than `margin_points` and surely so.

    `slices` maps a kind to the value of each row, "" where it is in none; classes, and all classes with fewer
    than 10 rows together, are looked at anyway. A slice that holds every row is left out. Raises InputError
    where the two were not judged on the same rows.
    """
    falls = _falls(champion, challenger, slices)
    level = tarone([f.differ for f in falls if 100 * f.differ > margin_points * f.n], 1 - confidence)
    fell = [f for f in falls if f.points > margin_points and f.p <= level]
    fell.sort(key=lambda f: (f.kind != "class", f.p, -f.points, f.kind, f.value))
    figures: Json = {
        "margin_points": margin_points,
        "watched": len(falls),
        "level": level,
        "fell": [{**asdict(f), "p": f.p} for f in fell],
        "changed": [asdict(f) for f in falls if f.differ and f not in fell],
    }
    return Check("floors", not fell, figures)


def golden_check(
    champion: Outcomes, challenger: Outcomes, *, margin_points: float, confidence: float = 0.95
) -> Check:
    """Whether the golden rows hold: refused where newly wrong ones exceed newly right ones surely.

    That is by more than `margin_points` of the golden rows, and by McNemar's exact one-sided test. Raises
    InputError where the two were not judged on the same rows.
    """
    won, lost = (int(side.sum()) for side in _differing(champion, challenger))
    n, p = len(champion.rows), surely_lost(won, lost)
    points = 100 * (lost - won) / n if n else 0.0
    passed = not (points > margin_points and p <= 1 - confidence)
    figures = {"n": n, "won": won, "lost": lost, "points": points, "p": p, "margin_points": margin_points}
    return Check("golden", passed, figures)


def size_check(size: int, kilobytes: int | None) -> Check:
    """Whether an adapter's own files of `size` bytes are within `kilobytes` (of 1,000 bytes; None: any)."""
    passed = kilobytes is None or size <= 1000 * kilobytes
    return Check("size", passed, {"kilobytes": size / 1000, "limit": kilobytes})


def work_check(champion: float, challenger: float, times: float) -> Check:
    """Whether a row goes through at most `times` the bytes of weights that it goes through now.

    Time follows them on a processor (`serving/work.py`), and unlike time they are the same on a busy machine.
    """
    ratio = challenger / champion if champion > 0 else 1.0
    return Check("work", ratio <= times, {"times": ratio, "limit": times})


def calibration_check(
    champion: Shown, challenger: Shown, *, points: float, confidence: float = 0.95, seed: int = 0
) -> Check:
    """Whether the expected calibration error grew by at most `points`, the noise of few rows set aside."""
    one, two = ((side.sure, side.outcomes.right) for side in (champion, challenger))
    growth = calibration_growth(one, two, seed=seed, resamples=0)
    least = growth.value
    if 100 * least > points:
        least = calibration_growth(one, two, seed=seed, confidence=confidence).low
    figures = {"points": 100 * growth.value, "at_least": 100 * least, "limit": points}
    return Check("calibration", 100 * least <= points, figures)


def tarone(differ: Sequence[int], alpha: float) -> float:
    """The level of each single test, by Tarone's bound; `differ` counts the rows that differ in each.

    A test with k such rows never has a p below 2 ** -k. With the smallest K for which at most K tests can
    reach alpha / K, that is the level.
    """
    count = 1
    while sum(2.0**-k <= alpha / count for k in differ) > count:
        count += 1
    return alpha / count


@dataclass(frozen=True)
class _Fall:
    """A class or slice of `n` rows: how many each side answers right, how many are newly right and wrong."""

    kind: str
    value: str
    n: int
    champion: int
    challenger: int
    won: int
    lost: int

    @property
    def differ(self) -> int:
        return self.won + self.lost

    @property
    def points(self) -> float:
        return 100 * (self.lost - self.won) / self.n

    @property
    def p(self) -> float:
        return surely_lost(self.won, self.lost)


def _once(each: Sequence[Outcomes]) -> list[list[int]]:
    """For each, the places of rows that none before it has."""
    seen: set[str] = set()
    found = []
    for outcomes in each:
        found.append([place for place, row in enumerate(outcomes.rows) if row not in seen])
        seen.update(outcomes.rows)
    return found


def _joined(each: Sequence[Outcomes], places: Sequence[Sequence[int]]) -> Outcomes:
    """Those places of each, one after another."""
    kept = list(zip(each, places, strict=True))
    columns = (
        tuple(getattr(outcomes, name)[i] for outcomes, some in kept for i in some)
        for name in ("rows", "gold", "answers")
    )
    return Outcomes(each[0].adapter, *columns)


def _differing(champion: Outcomes, challenger: Outcomes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are newly right, and which newly wrong."""
    if champion.rows != challenger.rows or champion.gold != challenger.gold:
        raise InputError(
            "the two adapters were not judged on the same rows.",
            where=f"{champion.adapter}, {challenger.adapter}",
            cure="Judge both on the same rows, in the same order.",
        )
    return challenger.right & ~champion.right, champion.right & ~challenger.right


def _falls(champion: Outcomes, challenger: Outcomes, slices: Slices) -> list[_Fall]:
    """The classes and slices that hold some but not all rows, and the classes with few rows together."""
    won, lost = _differing(champion, challenger)
    sides = np.stack([np.ones_like(won), champion.right, challenger.right, won, lost])
    found: list[_Fall] = []
    for kind, values in {"class": champion.gold, **slices}.items():
        if len(values) != len(won):
            raise InputError(f"the slice {kind!r} names {len(values)} rows of {len(won)}.", field=kind)
        names, places = np.unique(np.array(values, np.str_), return_inverse=True)
        counts = np.stack([np.bincount(places[side], minlength=len(names)) for side in sides], axis=1)
        found += [_Fall(kind, str(name), *count) for name, count in zip(names, counts.tolist(), strict=True)]
    few = [f for f in found if f.kind == "class" and f.n < FEW]
    if len(few) > 1:
        columns = ("n", "champion", "challenger", "won", "lost")
        found.append(_Fall("few", "", *(sum(getattr(f, name) for f in few) for name in columns)))
    return [f for f in found if f.n < len(won) and (f.value or f.kind == "few")]
