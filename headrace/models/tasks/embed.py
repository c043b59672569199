"""The embed task: what of a passage is compared with a question, and the options of its training.

A passage is embedded whole and sentence by sentence: a question is mostly answered by one sentence, and which
one nobody knows beforehand. Their cosines are averaged, that of the best sentence and that of the whole.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Floats = NDArray[np.float32]

WHOLE = 0.5
"""What the whole passage counts for beside its best sentence."""

_END = re.compile(r"(?<=[.!?;…])\s+|(?<=[。！？；…])|\n+")
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_SHORT = 24  # letters below which a piece is no sentence of its own, a Chinese character counting for three


class Options(BaseModel):
    """Options of the contrastive training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=8, ge=1, le=256)
    alpha: float = Field(default=16.0, gt=0)
    layers: int | None = Field(default=None, ge=1, description="top layers that change; None: a third of all")
    epochs: int = Field(default=6, ge=1, le=100)
    lr: float = Field(default=1e-4, gt=0)
    batch: int = Field(default=32, ge=2, le=4096)
    temperature: float | None = Field(default=None, gt=0, description="None: from how far apart cosines lie")

    def top(self, layers: int) -> int:
        """How many of a base's layers change."""
        return self.layers or max(1, layers // 3)

    def scaling(self) -> float:
        """What the product of the factors is multiplied by."""
        return self.alpha / self.rank


def sentences(text: str) -> list[str]:
    """The sentences of a text, pieces too short for one joined to the next; at least one where there is text."""
    found: list[str] = []
    for piece in (part.strip() for part in _END.split(text)):
        if piece and found and _length(found[-1]) < _SHORT:
            found[-1] = f"{found[-1]} {piece}"
        elif piece:
            found.append(piece)
    if len(found) > 1 and _length(found[-1]) < _SHORT:
        last = found.pop()
        found[-1] = f"{found[-1]} {last}"
    return found


def _length(text: str) -> int:
    return len(text) + 2 * len(_HAN.findall(text))


def scores(questions: Floats, whole: Floats, parts: Floats, starts: NDArray[np.int64]) -> Floats:
    """[q, n] of questions [q, d] with n passages, `whole` [n, d] and in `parts` [m, d], i's from `starts[i]`."""
    if not len(whole):
        return np.zeros((len(questions), 0), np.float32)
    best = np.maximum.reduceat(questions @ parts.T, starts, axis=1)
    return np.asarray(WHOLE * (questions @ whole.T) + (1 - WHOLE) * best, dtype=np.float32)
