"""The guarantee: what may be answered alone, so that of it at most the target is wrong.

A coin is thrown for every message before it is answered. What it draws a person looks at, whatever the machine
thinks of it, and says whether the machine's answer was right; where that was sure enough the customer has it
already. Only these checks count: they are a random sample of everything that is asked. Answers that a customer or
an agent happened to complain of are not, and a threshold found on them would promise nothing. Nor may it depend
on the answer whether it is checked: a drawn answer whose ticket a person answers or closes is wrong, unless the
person says that it is right or picks it. Until something is certified the coin draws every message, since all go
to a person anyway.

From the latest checks (recipe: support.window) `headrace.evaluation.risk` finds the lowest score whose answers
hold the target with the confidence asked. That promise is one of each look: whenever the checks are looked at,
the chance that they lead to a threshold that is too low is at most 1 - confidence. Whoever looks after every
single check ends up with the luckiest moment, so a threshold falls only at looks, each a tenth of the checks
after the last; it is raised or withdrawn at once. docs/guarantee.md says what that promises over time.

A release changes who answers. The checks of the adapter before go on counting, since the gate let only an adapter
pass that is no worse, until the new one's own checks contradict them: then its own alone count.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from headrace.errors import RecipeError
from headrace.evaluation.confidence import Scale
from headrace.evaluation.intervals import Estimate, wilson
from headrace.evaluation.risk import Certificate, certify, error_free, is_above, upper
from headrace.recipe import Recipe
from headrace.records import Clock
from headrace.records.service import Decision
from headrace.store import Store
from headrace.store.conversations import Checked

STEP = 0.1
"""Share of new checks after which a threshold may be lowered again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What (task, channel) may answer alone, and by which checks.

    A score of `threshold` or more is answered alone, one of `asked` or more is asked back; both are None while
    nothing is certified. Then `needed` more checks are expected to be enough, None where by the checks so far no
    number is. Of the `checked` answers `alone_share` would be given alone, of these `error` is wrong, at most
    `most` by the exact one-sided interval (1.0 of none). `waiting` answers are drawn and not yet checked: those
    that persons leave out bias the rest.
    """

    target: float
    confidence: float
    threshold: float | None
    asked: float | None
    checked: int
    needed: int | None
    alone_share: float
    error: Estimate
    most: float
    scale: Scale
    waiting: int
    at: datetime


class Guarantee:
    """Decides by the checks in the store; safe from several threads, the same in every process."""

    def __init__(self, store: Store, recipe: Recipe, clock: Clock) -> None:
        self._store, self._recipe, self._clock = store, recipe, clock
        _refuse_short_window(recipe)
        self._known: dict[tuple[str, str], tuple[tuple[int, int], Standing]] = {}
        self._lock = threading.Lock()

    def decide(self, task: str, channel: str, score: float) -> Decision:
        """What becomes of an answer of this score: given alone, asked back, or left to a person."""
        standing = self.state(task, channel)
        if standing.threshold is None or standing.asked is None:
            return "person"
        if score >= standing.threshold:
            return "alone"
        return "ask" if score >= standing.asked else "person"

    def rate(self, task: str, channel: str) -> float:
        """With which chance the next message is drawn for a check."""
        return 1.0 if self.state(task, channel).threshold is None else self._recipe.support.audit

    def target(self, channel: str) -> float:
        """The share of a channel's answers that may be wrong where they are given alone."""
        return self._recipe.support.targets.get(channel, self._recipe.support.target)

    def state(self, task: str, channel: str) -> Standing:
        """How (task, channel) stands; looked at again once checks are newer, corrected or deleted."""
        version = self._store.tickets.checks_version()
        with self._lock:
            known = self._known.get((task, channel))
            if known is None or known[0] != version:
                known = version, self._look(task, channel)
                self._known[task, channel] = known
        return known[1]

    def _look(self, task: str, channel: str) -> Standing:
        support, target = self._recipe.support, self.target(channel)
        total, waiting = self._store.tickets.check_counts(task, channel)
        since = total - last_look(total, error_free(target, support.confidence), support.window)
        found = self._store.tickets.checked(task, channel, support.window + since)
        newest, then = found[-support.window :], found[: len(found) - since][-support.window :]
        now = _certified(newest, target, support.confidence)
        threshold = _higher(now, _certified(then, target, support.confidence))
        own = _own(newest)
        if threshold is not None and _contradicts(own, threshold, target, support.confidence):
            newest, now = own, _certified(own, target, support.confidence)
            threshold = now.threshold
        scale = Scale.fit(*_arrays(newest))
        alone = [one.right for one in newest if threshold is not None and _score(one) >= threshold]
        return Standing(
            target=target,
            confidence=support.confidence,
            threshold=threshold,
            asked=None if threshold is None else asked_from(threshold, scale, support.ask_back),
            checked=len(newest),
            needed=_needed(now, threshold),
            alone_share=len(alone) / len(newest) if newest else 0.0,
            error=wilson(alone.count(False), len(alone), support.confidence),
            most=upper(alone.count(False), len(alone), support.confidence),
            scale=scale,
            waiting=waiting,
            at=self._clock(),
        )


def asked_from(threshold: float, scale: Scale, below: float) -> float:
    """The least score that is asked back: as likely right as the threshold's, or less by `below` at most."""
    return min(threshold, scale.score(scale.chance(threshold) - below))


def last_look(total: int, first: int, window: int) -> int:
    """The number of checks, `total` or less, at which a threshold was last allowed to fall; 0 before the `first`.

    Looks follow each other by a tenth of the checks that count, at most `window`; the same in every process.
    """
    look, most = 0, max(1, int(STEP * window))
    while (following := look + step(look, window) if look else first) <= total:
        look = following
        if step(look, window) == most:
            return look + (total - look) // most * most
    return look


def step(checks: int, window: int) -> int:
    """How many checks lie between the look at `checks` and the next."""
    return max(1, int(STEP * min(checks, window)))


def _refuse_short_window(recipe: Recipe) -> None:
    """Raise RecipeError where the window holds too few checks for a target, whatever they say."""
    support = recipe.support
    needed = error_free(min([support.target, *support.targets.values()]), support.confidence)
    if support.window < needed:
        raise RecipeError(
            [f"support.window: {support.window} checks certify no target this low. Write {needed} or more."]
        )


def _own(found: Sequence[Checked]) -> list[Checked]:
    """The answers of the adapter that gave the newest."""
    return [one for one in found if one.adapter == found[-1].adapter]


def _contradicts(found: Sequence[Checked], threshold: float, target: float, confidence: float) -> bool:
    """Whether these answers, so sure, show an error above the target."""
    alone = [one.right for one in found if _score(one) >= threshold]
    return is_above(alone.count(False), len(alone), target, confidence)


def _certified(found: Sequence[Checked], target: float, confidence: float) -> Certificate:
    scores, right = _arrays(found)
    return certify(scores, right, target, confidence)


def _needed(now: Certificate, threshold: float | None) -> int | None:
    """How many checks more are enough: the next, where only the last look withholds the threshold."""
    if threshold is not None or now.needed is None:
        return now.needed
    return max(1, now.needed)


def _arrays(found: Sequence[Checked]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.array([_score(one) for one in found], np.float64), np.array([one.right for one in found], bool)


def _score(one: Checked) -> float:
    return one.message.score or 0.0


def _higher(one: Certificate, other: Certificate) -> float | None:
    """The threshold that both certify."""
    if one.threshold is None or other.threshold is None:
        return None
    return max(one.threshold, other.threshold)
