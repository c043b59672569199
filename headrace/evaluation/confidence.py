"""How likely is an answer right that was given with a score? A channel's own temperature, and its offset.

An adapter's softmax is calibrated on the rows it was validated on. What a channel is really asked is another
mix, with questions that no label covers. So the logit of a score is divided by a temperature and moved by an
offset, fitted on checked answers (C. Guo, G. Pleiss, Y. Sun, K. Weinberger, ICML 2017; the offset is J.
Platt's, Advances in Large Margin Classifiers, 1999). The order of scores never changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EDGE = 1e-7
"""Scores are kept this far from 0 and 1, whose logits are infinite."""
HELD = 10.0
"""Rows that the scale an adapter comes with is worth."""
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class Scale:
    """A score's chance to be right is sigmoid(logit(score) / `temperature` + `offset`)."""

    temperature: float = 1.0
    offset: float = 0.0

    @classmethod
    def fit(cls, scores: Floats, right: NDArray[np.bool_]) -> Scale:
        """The likeliest scale of answers with `scores` [n] in 0 to 1 that were `right` [n] or not.

        Few rows say little, so it is held near the score itself with the weight of some ten rows.
        """
        found, x, y = np.array([1.0, 0.0]), logits(scores), right.astype(np.float64)
        rows = np.stack([x, np.ones_like(x)], axis=1)
        for _ in range(30):
            chances = _sigmoid(rows @ found)
            slope = rows.T @ (chances - y) + HELD * (found - (1.0, 0.0))
            bend = (rows * (chances * (1 - chances))[:, None]).T @ rows + HELD * np.eye(2)
            step = np.linalg.solve(bend, slope)
            found = found - step / max(1.0, float(np.abs(step).max()))
            if float(np.abs(step).max()) < 1e-9:
                break
        return cls(float(1 / np.clip(found[0], 1 / HOTTEST, 1 / COLDEST)), float(found[1]))

    def chance(self, score: float) -> float:
        """How likely an answer with this score is right."""
        return float(_sigmoid(logits(np.array([score])) / self.temperature + self.offset)[0])

    def score(self, chance: float) -> float:
        """The score of an answer that is right with this chance; 0.0 and 1.0 where none is."""
        if not 0 < chance < 1:
            return 0.0 if chance <= 0 else 1.0
        wanted = (math.log(chance / (1 - chance)) - self.offset) * self.temperature
        return float(_sigmoid(np.array([wanted]))[0])


def logits(scores: Floats) -> Floats:
    """log(score / (1 - score)) of scores [n], those of 0 and 1 kept finite."""
    kept = np.clip(scores, EDGE, 1 - EDGE)
    return np.asarray(np.log(kept) - np.log1p(-kept), np.float64)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -700, 700))), np.float64)
