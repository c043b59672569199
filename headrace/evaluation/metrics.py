"""Accuracy, macro F1, the per-class table and the confusion counts of answers against gold labels.

All take class numbers: `gold` [n] and `answered` [n]. scikit-learn does the counting where it has the metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One label's line of the per-class table; `support` rows carry it, `answered` got it as an answer."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    answered: int

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> ClassRow:
        """The line that `to_json` wrote."""
        return cls(**found)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, object]:
        """A JSON object of the columns."""
        return asdict(self)


def accuracy(gold: Classes, answered: Classes) -> float:
    """The share of rows answered right; of no rows, 0."""
    return float(np.mean(gold == answered)) if gold.size else 0.0


def macro_f1(gold: Classes, answered: Classes, classes: int) -> float:
    """The mean F1 over the classes that are gold or answered somewhere; of no rows, 0.

    scikit-learn's `f1_score(average="macro", zero_division=0)`, counted by hand because the bootstrap calls
    it a thousand times (microseconds a call here, milliseconds there).
    """
    hits = np.bincount(gold[gold == answered], minlength=classes)
    either = np.bincount(gold, minlength=classes) + np.bincount(answered, minlength=classes)
    present = either > 0
    return float(np.mean(2 * hits[present] / either[present])) if present.any() else 0.0


def per_class(gold: Classes, answered: Classes, labels: Sequence[str]) -> tuple[ClassRow, ...]:
    """One line a label, in the order of `labels`; what cannot be divided is 0."""
    if not gold.size:
        return tuple(ClassRow(label, 0.0, 0.0, 0.0, 0, 0) for label in labels)
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        gold, answered, labels=np.arange(len(labels)), average=None, zero_division=0
    )
    counts = np.bincount(answered, minlength=len(labels))
    rows = zip(labels, *(np.asarray(column).tolist() for column in columns), counts.tolist(), strict=True)
    return tuple(ClassRow(*row) for row in rows)


def confusion(gold: Classes, answered: Classes, classes: int) -> NDArray[np.int64]:
    """Counts [classes, classes]: gold down, answered across."""
    if classes == 1 or not gold.size:  # scikit-learn warns of the one and refuses the other
        return np.full((classes, classes), gold.size, np.int64)
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(gold, answered, labels=np.arange(classes)), np.int64)
