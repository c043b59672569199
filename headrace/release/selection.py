"""Which challengers are released, so that false releases of all channels and all nights hold together.

Every trial gets a level when it begins, and the levels of a project never add up to more than its `alpha`.

- Rule `any`: a challenger is released once its e-value reaches 1 / level. With probability 1 - alpha no
  challenger that is no better is ever released in the project's life, however many others are better and
  however the channels hang together: the levels add up (Bonferroni) and each trial may be looked at after every
  audit (Ville). A release gives its level back, because it was not false unless a false one came before it
  (online fallback: J. Tian and A. Ramdas, Stat. Methods Med. Res. 30, 2021).
- Rule `share`: e-BH with weights (R. Wang and A. Ramdas, False discovery rate control with e-values, JRSS B 84,
  2022). The more challengers show something, the less each has to show. At most the share alpha of all releases
  is false on average; where no challenger is better, it promises what `any` does. Where some are, it does not:
  somewhere among many true releases a false one is likely. Nothing is given back.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Literal, TypeVar

from headrace.errors import InputError

Rule = Literal["any", "share"]
Key = TypeVar("Key", bound=Hashable)

SPREAD = 20


def level(number: int, alpha: float) -> float:
    """The level of a channel's challenger `number` = 1, 2, 3, ...; over all numbers they add up to `alpha`.

    alpha * 20 / ((number + 19) (number + 20)): of all sequences of this kind the one that leaves the 20th most,
    1/78 of alpha, where the first has 1/21. Raises InputError for a number below 1.
    """
    return next_level(number, alpha * SPREAD / (number + SPREAD - 1), 1)


def next_level(number: int, left: float, channels: int) -> float:
    """The level of a trial that begins now: the `number`-th of its channel, from 1, in a project of `channels`.

    `left` is what `left_of` says. Whatever number of channels comes and goes, the levels never add up to more
    than alpha, for each takes a share of what is left; where the channels stay and nothing is released, they are
    nearly `level(number, alpha / channels)`. Raises InputError for a number or channels below 1.
    """
    if number < 1 or channels < 1:
        raise InputError(f"there is no challenger {number} in a project of {channels} channels.")
    return max(left, 0.0) / (channels * (number + SPREAD))


def left_of(alpha: float, spent: Iterable[float]) -> float:
    """What is left of `alpha` after the levels `spent`: those of all trials ever begun, open ones too.

    With the rule `any` the levels of trials that ended with a proved release are left out.
    """
    return max(0.0, alpha - math.fsum(spent))


def released(evidences: Mapping[Key, float], levels: Mapping[Key, float], rule: Rule = "any") -> set[Key]:
    """The challengers to release: `evidences` are logarithms of e-values, `levels` what their trials got.

    It may be asked after every audit. With `any` the trials do not touch one another, so asking for those that
    have changed is enough. With `share` give all of them: those open, and those released before with the
    evidence on which they were, so that the answer only ever grows. Raises InputError where a trial has no
    level.
    """
    strangers = [key for key in evidences if key not in levels]
    if strangers:
        raise InputError(f"the trial {strangers[0]!r} has no level.")
    scores = {key: value + _log(levels[key]) for key, value in evidences.items()}
    bar = 0.0 if rule == "any" else -math.log(max(1, _discoveries(sorted(scores.values(), reverse=True))))
    return {key for key, score in scores.items() if score >= bar}


def _discoveries(scores: list[float]) -> int:
    """The largest k of which the k-th largest level times e-value is at least 1 / k; 0 where there is none."""
    return max((k for k, score in enumerate(scores, 1) if score >= -math.log(k)), default=0)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
