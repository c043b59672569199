"""What an adapter scored on held-out rows: every figure with its interval, in one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.errors import InputError
from headrace.evaluation.calibration import Bin, calibration_error, reliability
from headrace.evaluation.intervals import Estimate, bootstrap, wilson
from headrace.evaluation.metrics import Classes, ClassRow, confusion, macro_f1, per_class


@dataclass(frozen=True, slots=True)
class Confused:
    """How many rows of label `gold` were answered `answered`; right answers stand here too."""

    gold: str
    answered: str
    count: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """The figures of one adapter on `n` held-out rows, `unknown` of which carry a label it does not know."""

    n: int
    unknown: int
    accuracy: Estimate
    macro_f1: Estimate
    calibration_error: Estimate
    classes: tuple[ClassRow, ...]
    confusion: tuple[Confused, ...]
    reliability: tuple[Bin, ...]

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Judgement:
        """The judgement that `to_json` wrote."""
        return cls(
            int(found["n"]),
            int(found["unknown"]),
            Estimate.from_json(found["accuracy"]),
            Estimate.from_json(found["macro_f1"]),
            Estimate.from_json(found["calibration_error"]),
            tuple(ClassRow.from_json(row) for row in found["classes"]),
            tuple(Confused(gold, answered, count) for gold, answered, count in found["confusion"]),
            tuple(Bin.from_json(row) for row in found["reliability"]),
        )

    def to_json(self) -> dict[str, object]:
        """A JSON object; the confusion counts as [gold, answered, count] where there are any."""
        return {
            "n": self.n,
            "unknown": self.unknown,
            "accuracy": self.accuracy.to_json(),
            "macro_f1": self.macro_f1.to_json(),
            "calibration_error": self.calibration_error.to_json(),
            "classes": [row.to_json() for row in self.classes],
            "confusion": [[cell.gold, cell.answered, cell.count] for cell in self.confusion],
            "reliability": [row.to_json() for row in self.reliability],
        }

    def confusions(self, most: int = 10) -> tuple[Confused, ...]:
        """The most frequent wrong answers, most frequent first."""
        wrong = [cell for cell in self.confusion if cell.gold != cell.answered]
        return tuple(sorted(wrong, key=lambda cell: (-cell.count, cell.gold, cell.answered))[:most])


def judge(
    probabilities: NDArray[np.floating[Any]],
    gold: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int,
    resamples: int = 1000,
) -> Judgement:
    """Judge `probabilities` [n, K] over `labels` [K] against the `gold` labels [n].

    The answer is the most probable label, on a tie the first of `labels`. A gold label that is not among
    `labels` counts as an error. No rows give estimates with `n` 0. Accuracy takes Wilson's interval, macro F1
    and calibration error the bootstrap's. Raises InputError where shapes disagree or a number is not finite.
    """
    scores = _checked(probabilities, len(gold), labels)
    known = [*labels, *sorted(set(gold) - set(labels))]
    number = {label: i for i, label in enumerate(known)}
    truth = np.array([number[label] for label in gold], np.intp)
    answered = scores.argmax(axis=1).astype(np.intp) if len(gold) else np.zeros(0, np.intp)
    sure = np.clip(scores.max(axis=1), 0, 1) if len(gold) else np.zeros(0)
    right = truth == answered
    return Judgement(
        len(gold),
        int((truth >= len(labels)).sum()),
        wilson(int(right.sum()), len(gold)),
        _macro_f1(truth, answered, len(known), seed, resamples),
        calibration_error(sure, right, seed=seed, resamples=resamples),
        per_class(truth, answered, known),
        _cells(truth, answered, known),
        reliability(sure, right),
    )


def _macro_f1(truth: Classes, answered: Classes, classes: int, seed: int, resamples: int) -> Estimate:
    def of_rows(rows: NDArray[np.intp]) -> float:
        return macro_f1(truth[rows], answered[rows], classes)

    return bootstrap(of_rows, len(truth), seed=seed, resamples=resamples)


def _cells(truth: Classes, answered: Classes, known: Sequence[str]) -> tuple[Confused, ...]:
    counts = confusion(truth, answered, len(known))
    pairs = np.argwhere(counts).tolist()
    return tuple(Confused(known[i], known[j], int(counts[i, j])) for i, j in pairs)


def _checked(
    probabilities: NDArray[np.floating[Any]], rows: int, labels: Sequence[str]
) -> NDArray[np.float64]:
    scores = np.asarray(probabilities, np.float64)
    if not labels or len(set(labels)) != len(labels):
        raise InputError("an adapter is judged over at least one label, each named once.", field="labels")
    if scores.shape != (rows, len(labels)) and not (rows == 0 and scores.size == 0):
        raise InputError(
            f"probabilities have the shape {scores.shape}, not ({rows}, {len(labels)}).",
            field="probabilities",
            cure="Give one line a row and one column a label.",
        )
    if not np.isfinite(scores).all():
        bad = int(np.argwhere(~np.isfinite(scores))[0][0])
        raise InputError(f"row {bad} has a probability that is not a number.", field="probabilities")
    return scores.reshape(rows, len(labels))
