"""Words and meaning made one score, by a weighted sum of the two in [0, 1].

A sum keeps how much better one passage is than the next, which a sum of reciprocal ranks throws away (Bruch,
Gai and Ingber, An analysis of fusion functions for hybrid retrieval, ACM TOIS 42, 2023).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHARE = 0.35
"""What meaning counts for, where no validation said otherwise; words count for the rest."""

SHARES = tuple(step / 20 for step in range(21))


def scaled(cosines: Floats, background: float) -> Floats:
    """Cosines in [0, 1]: 0 is what a question has with any passage (`background`) or less, 1 the same text."""
    room = max(1 - background, 1e-6)
    return np.asarray(np.clip((cosines - background) / room, 0, 1), dtype=np.float32)


def fuse(words: Floats, meaning: Floats, share: float) -> Floats:
    """The weighted sum of two arrays of one shape."""
    return np.asarray(np.float32(1 - share) * words + np.float32(share) * meaning, np.float32)


def choose_share(words: Sequence[Floats], meaning: Sequence[Floats], right: Sequence[int]) -> float:
    """The share nearest to `SHARE` that ranks the right passages as well as the best, to one standard error.

    By mean reciprocal rank. For each question the scores [n] of all passages, and the number of the right one.
    """
    if not words:
        return SHARE
    asked = list(zip(words, meaning, right, strict=True))
    found = np.array([[1 / rank_of(fuse(w, m, share), r) for w, m, r in asked] for share in SHARES])
    lost = found[found.mean(axis=1).argmax()] - found
    noise = lost.std(axis=1) / np.sqrt(len(asked))
    good = [share for share, one, least in zip(SHARES, lost.mean(axis=1), noise, strict=True) if one <= least]
    return min(good, key=lambda share: abs(share - SHARE))


def rank_of(scores: Floats, right: int) -> int:
    """The rank of number `right`, from 1; of equals the worst."""
    return int((scores >= scores[right]).sum())
