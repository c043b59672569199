"""Daily quotas: questions of a channel, counted by UTC day in the same transaction as their answers.

What is stored is what was answered, so a crash gives nothing back. Each day has a count of its own that only
grows: a clock that jumps ahead opens that day's quota early, and once only; one that jumps back finds the
earlier day's count as it left it. The count is one process's. Where several share a store, the transaction
that stores an answer holds it to the shared count, so that no quota is passed; `shared` then tells this
process what the others have asked, so that it refuses the next question by itself.

A day's quota lasts ten minutes at least (`LASTS`): a channel that asks faster waits, so that a quota spent at
full speed is not felt by the others (a token bucket: Turner 1986). The pace is each process's own, and forgotten
with it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

from headrace.errors import QuotaSpent
from headrace.records import Clock, utc_now

LASTS = 600.0
"""Seconds that a day's quota lasts at least."""
AT_ONCE = 32
"""Questions that may come at one moment; where a second's worth of the quota is more, so many."""
_DAYS_KEPT = 3
_DAY = 86_400  # seconds


class UsageStore(Protocol):
    """What is asked of the store of counts."""

    def asked(self, channel: str, day: str) -> int:
        """How many questions the channel has asked on that day (YYYY-MM-DD)."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """Questions taken from a channel's quota of a day; they count for good once their answers are stored."""

    channel: str
    day: str
    questions: int
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """What a channel has left of its quota of today, and in how many seconds the next day begins."""

    quota: int
    questions: int
    seconds: int


@dataclass(slots=True)
class _Pace:
    """Questions that a channel had `left` to ask at once at that moment; below 0 where it asked in advance."""

    left: float
    at: datetime

    def wait(self, quota: int, now: datetime) -> int:
        """Seconds, rounded up, until a question may come; 0 where it may now. A clock set back gives nothing."""
        rate = quota / LASTS
        passed = max(0.0, (now - self.at).total_seconds())
        self.left, self.at = min(max(AT_ONCE, rate), self.left + passed * rate), now
        return 0 if self.left >= 1 else max(1, math.ceil((1 - self.left) / rate))


class Quotas:
    """Takes questions from quotas; `quota_of` says a channel's, None being no limit. Safe from threads."""

    def __init__(
        self, usage: UsageStore, quota_of: Callable[[str], int | None], *, clock: Clock = utc_now
    ) -> None:
        self._usage, self._quota_of, self._clock = usage, quota_of, clock
        self._counts: dict[tuple[str, str], int] = {}
        self._stored: dict[tuple[str, str], int] = {}
        self._paces: dict[str, _Pace] = {}
        self._lock = threading.Lock()

    def take(self, channel: str, questions: int) -> Taken:
        """Take `questions` from today's quota, all or none; raises QuotaSpent.

        One request may hold any number, in advance of the pace: those after it then wait for so much longer.
        """
        now = self._clock().astimezone(UTC)
        quota = self._quota_of(channel)
        taken = Taken(channel, now.date().isoformat(), questions, quota)
        if quota is None:
            return taken
        with self._lock:
            asked = self._count(channel, taken.day)
            if asked + questions > quota:
                raise spent(taken, asked, now)
            pace = self._paces.get(channel) or _Pace(math.inf, now)
            if wait := pace.wait(quota, now):
                raise _too_fast(taken, wait)
            pace.left -= questions
            self._paces[channel] = pace
            self._counts[channel, taken.day] = asked + questions
        return taken

    def give_back(self, taken: Taken) -> None:
        """Undo a `take` whose questions were not answered."""
        place = (taken.channel, taken.day)
        with self._lock:
            if taken.channel in self._paces:
                self._paces[taken.channel].left += taken.questions
            if place in self._counts:
                self._counts[place] = max(self._counts[place] - taken.questions, self._stored.get(place, 0))

    def left(self, channel: str) -> Left | None:
        """What is left of today's quota; None where there is no limit."""
        quota = self._quota_of(channel)
        if quota is None:
            return None
        now = self._clock().astimezone(UTC)
        with self._lock:
            asked = self._count(channel, now.date().isoformat())
        return Left(quota, max(0, quota - asked), _DAY - int(now.timestamp()) % _DAY)

    def shared(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Hear the store's counts by (channel, day): what other processes have asked counts here, too."""
        with self._lock:
            for place, asked in counts.items():
                if place in self._counts:
                    self._stored[place] = asked
                    self._counts[place] = max(self._counts[place], asked)

    def _count(self, channel: str, day: str) -> int:
        if (channel, day) not in self._counts:
            self._counts[channel, day] = self._usage.asked(channel, day)
            days = sorted({known for _, known in self._counts})
            if len(days) > _DAYS_KEPT:
                self._forget(next(known for known in days if known != day))
        return self._counts[channel, day]

    def _forget(self, day: str) -> None:
        self._counts = {place: n for place, n in self._counts.items() if place[1] != day}
        self._stored = {place: n for place, n in self._stored.items() if place[1] != day}


def spent(taken: Taken, asked: int, now: datetime) -> QuotaSpent:
    """The error of a question that is too many after `asked` of its day; it says when the next day begins."""
    midnight = datetime.combine(date.fromisoformat(taken.day), time(), UTC) + timedelta(days=1)
    wait = max(1, math.ceil((midnight - now).total_seconds()))
    return QuotaSpent(
        f"{taken.channel} has asked {asked} of its {taken.quota} questions of today, and {taken.questions} more"
        " are too many.",
        retry_after=wait,
    )


def _too_fast(taken: Taken, wait: int) -> QuotaSpent:
    return QuotaSpent(
        f"{taken.channel} asks faster than its {taken.quota} questions of a day may be spent, which is within"
        f" {LASTS / 60:.0f} minutes.",
        retry_after=wait,
    )
