"""How sure must an answer be to be given without a person? The lowest threshold whose error is certified.

Of n messages drawn at random, a person said which answers were right. Of the k at or above a threshold w were
wrong, and at any fixed threshold w given k is binomial. So "more than the target of what is this sure is wrong"
is rejected where P(Binomial(k, target) <= w) is small enough: the exact one-sided test (C. J. Clopper and E. S.
Pearson, Biometrika 26, 1934). Thresholds are tested in one fixed order, from the surest down, until one cannot
be rejected; then all of them cost no more than one (fixed-sequence testing within Learn then Test: A. N.
Angelopoulos, S. Bates, E. J. Candes, M. I. Jordan, L. Lei, Annals of Applied Statistics 19, 2025). The first
wrong threshold of the order is the same one whatever was drawn, and passing it takes that its own test errs.

Ranks stand for thresholds: between two scores of the sample no test changes its mind. An order that begins
among few rows is ended by one early mistake, one that begins among many passes over a model that is sure of few
answers. So there are two, which begin at the surest sixth and third of the rows, and each may err half as
often.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STARTS = (1 / 6, 1 / 3)
"""Shares of the rows, from the surest down, at which an order begins; at least as many as can certify at all."""
FAR = 1_000_000
"""Rows beyond which no need is computed."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What may be answered alone: `answered` of `n` rows, of which `wrong`, have a score of `threshold` or more.

    `most` is the upper end of the one-sided interval of their error (1.0 of no rows). `threshold` is None where
    nothing is certified; then `needed` more rows are expected to be enough if they come as those so far did, and
    None where no number would be: too much is wrong among the surest.
    """

    threshold: float | None
    answered: int
    wrong: int
    n: int
    most: float
    needed: int | None

    @property
    def share(self) -> float:
        """Share of the rows that are answered alone."""
        return self.answered / self.n if self.n else 0.0


def error_free(target: float, confidence: float) -> int:
    """The least number of checked answers, all right, that certifies an error of at most `target`."""
    return math.ceil(math.log(_level(confidence)) / math.log1p(-target))


def certify(scores: Floats, right: NDArray[np.bool_], target: float, confidence: float) -> Certificate:
    """The lowest threshold of scores [n] whose error is at most `target`, with the confidence asked.

    `right` [n] says which answers were right. The rows must be a random sample of the messages to come. The
    promise: over samples, the error of what will be answered is above the target in at most 1 - confidence.
    """
    order, n = np.argsort(-scores, kind="stable"), len(scores)
    ranked, wrong = scores[order], np.cumsum(~right[order], dtype=np.intp)
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[:n]) + 1
    passed = _chance(wrong[ends - 1], ends, target) <= _level(confidence)
    firsts = [_first(share, n, target, confidence) for share in STARTS]
    count = max(_reached(ends[ends >= first], passed[ends >= first]) for first in firsts)
    if not count:
        mean = np.interp(np.arange(1, n + 1), np.append(0, ends), np.append(0, wrong[ends - 1]))
        return Certificate(None, 0, 0, n, 1.0, _needed(mean, target, confidence))
    mistakes = int(wrong[count - 1])
    most = upper(mistakes, count, confidence)
    return Certificate(float(ranked[count - 1]), count, mistakes, n, most, 0)


def _level(confidence: float) -> float:
    """How often one of the orders may err."""
    return (1 - confidence) / len(STARTS)


def _first(share: float, n: int, target: float, confidence: float) -> int:
    """The number of surest rows, of `n`, at which an order begins."""
    return max(error_free(target, confidence), int(share * n))


def _reached(ends: NDArray[np.intp], passed: NDArray[np.bool_]) -> int:
    """The last of the ends before the first that did not pass; 0 where none did."""
    many = len(passed) if passed.all() else int(np.argmin(passed))
    return int(ends[many - 1]) if many else 0


def is_above(wrong: int, n: int, target: float, confidence: float) -> bool:
    """Whether `wrong` of `n` shows, with the confidence asked, that the error is above the target."""
    chance = 1 - _chance(np.array([wrong - 1]), np.array([n]), target)[0] if wrong else 1.0
    return bool(chance <= 1 - confidence)


def upper(wrong: int, n: int, confidence: float) -> float:
    """The upper end of the exact one-sided interval of an error, `wrong` of `n`; 1.0 of no rows."""
    from scipy.special import betaincinv  # a server starts without it

    return 1.0 if wrong >= n else float(betaincinv(wrong + 1, n - wrong, confidence))


def _chance(wrong: NDArray[np.intp], rows: NDArray[np.intp], target: float) -> Floats:
    """P(Binomial(rows, target) <= wrong) of each."""
    from scipy.special import bdtr  # a server starts without it

    return np.asarray(bdtr(wrong.astype(np.float64), rows, target), np.float64)


def _needed(wrong: Floats, target: float, confidence: float) -> int | None:
    """How many rows more are enough where nothing is certified, if they come as those so far did.

    `wrong` [n] counts the mistakes among the surest 1 to n rows. The surest rows are taken to be no worse than
    more of them: of few rows a mistake says little.
    """
    n, least = len(wrong), error_free(target, confidence)
    rates = np.append(np.minimum.accumulate((wrong / np.arange(1, n + 1))[::-1])[::-1], 0.0 if n == 0 else [])
    begin = max(n + 1, least)
    far = np.geomspace(begin + 400, begin + FAR, 400).astype(np.intp)
    totals = np.concatenate([begin + np.arange(400), far])
    enough = np.zeros(len(totals), bool)
    for share in STARTS:
        firsts = np.maximum(least, (share * totals).astype(np.intp))
        seen = np.clip(np.ceil(firsts * (n / totals) - 1e-9).astype(np.intp), 1, max(n, 1))
        expected = np.ceil(rates[seen - 1] * firsts - 1e-9).astype(np.intp)
        enough |= _chance(expected, firsts, target) <= _level(confidence)
    return int(totals[np.argmax(enough)]) - n if enough.any() else None
