"""Who takes part in a trial: which adapters answer a question, whose answer is sent, which rows are drawn.

Every draw is a salted hash, so that it is the same in every process and after every restart, and a function of
names that were given before anything was answered: no draw can depend on an answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.records import Stage, Trial

Pair = tuple[str, str]
_WHOLE = 2**64


def draw(salt: str, what: str, name: str) -> float:
    """A number in [0, 1) that `salt` gives to `name` for one purpose; draws of two purposes are independent.

    BLAKE2b keyed with the salt (Aumasson et al. 2013).
    """
    key = hashlib.sha256(salt.encode()).digest()
    said = f"{what}\x1f{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(said, key=key, digest_size=8).digest(), "big") / _WHOLE


@dataclass(frozen=True, slots=True)
class OpenTrial:
    """A trial as serving needs it. `canary` is a share of users, `watch` one of rows, `rate` the coin's."""

    id: str
    task: str
    channel: str
    champion: str
    challenger: str
    stage: Stage
    salt: str
    canary: float
    watch: float
    rate: float

    @classmethod
    def of(cls, trial: Trial) -> OpenTrial:
        """What serving needs of a trial's record."""
        said: Mapping[str, Any] = trial.settings
        # A watch compares a share of the rows: that share is its coin, so all of it is drawn.
        watches = trial.stage == "watch"
        return cls(
            trial.id,
            trial.task,
            trial.channel,
            trial.champion,
            trial.challenger,
            trial.stage,
            trial.salt,
            canary=float(said.get("canary", 0.0)) if trial.stage == "canary" else 0.0,
            watch=float(said.get("watch", 0.0)) if watches else 1.0,
            rate=1.0 if watches else float(said.get("audits", 0.0)),
        )

    def sends_challenger(self, user: str) -> bool:
        """Whether this user gets the challenger's answer: always or never, as long as the canary lasts."""
        return self.canary > 0 and draw(self.salt, "canary", user) < self.canary

    def compares(self, answer: str) -> bool:
        """Whether both adapters answer the question whose answer will have this id."""
        return self.watch >= 1 or draw(self.salt, "watch", answer) < self.watch

    def draws(self, answer: str) -> bool:
        """The coin: whether this answer goes to audit where the two adapters differ."""
        return self.rate >= 1 or draw(self.salt, "audit", answer) < self.rate


def covering(trials: Sequence[OpenTrial], user: str, answer: str) -> OpenTrial | None:
    """The one trial of a pair whose adapters both answer this question; None where none does.

    A pair may have a watch and a challenger open at once: the rows that the watch draws are its own, the
    others the challenger's. A canary's users stay with the challenger.
    """
    found: OpenTrial | None = None
    for trial in trials:
        if trial.sends_challenger(user):
            return trial
        watches = trial.stage == "watch"
        if (watches or found is None) and trial.compares(answer):
            found = trial
    return found


def by_pair(trials: Iterable[OpenTrial]) -> dict[Pair, tuple[OpenTrial, ...]]:
    """Open trials by (task, channel)."""
    found: dict[Pair, tuple[OpenTrial, ...]] = {}
    for trial in trials:
        found[trial.task, trial.channel] = (*found.get((trial.task, trial.channel), ()), trial)
    return found
