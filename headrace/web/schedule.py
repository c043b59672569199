"""When the next turn is due: by a clock that only goes forward, so that no jump of the wall clock, no DST and no
leap second loses or doubles one. The wall clock is asked once, at the start: when did the last turn begin?
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

LONGEST = 86_400.0
"""Seconds between two attempts of a turn that keeps failing, at most, where the interval is not longer."""


@dataclass
class Schedule:
    """A turn every `every` seconds, begun to begun; `due` is on the same clock as every `now`."""

    every: float
    due: float
    failures: int = 0

    def wait(self, now: float) -> float:
        """Seconds until the next turn, 0 where it is due."""
        return max(0.0, self.due - now)

    def ended(self, now: float, *, failed: bool = False) -> None:
        """A turn has ended. Those that it was too long for are left out, never made up for.

        The first failure waits for the next interval, each further one twice as long.
        """
        self.failures = self.failures + 1 if failed else 0
        step = self.every * 2.0 ** min(max(0, self.failures - 1), 60)
        self.due += min(step, max(self.every, LONGEST))
        if self.due <= now:
            self.due += self.every * (math.floor((now - self.due) / self.every) + 1)


def first_wait(every: float, last: datetime | None, now: datetime, *, unfinished: bool = False) -> float:
    """Seconds until the first turn of a server: one interval after the `last` one began.

    At once where that is past, where a turn is unfinished or none ever ran. By a last turn that lies ahead the
    clock was set back: one interval from now.
    """
    if last is None or unfinished:
        return 0.0
    return min(every, max(0.0, every - (now - last).total_seconds()))
