"""No turn is lost or doubled: by clocks that jump, turns that take long or fail, servers that restart."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.web.logs import logger
from headrace.web.schedule import LONGEST, Schedule, first_wait
from headrace.web.turns import Runner

EVERY = st.sampled_from([60.0, 1800.0, 3600.0, 86_400.0])
# What a wall clock may do at any moment: NTP steps, DST set by hand, a day forward or back.
JUMPS = st.lists(st.sampled_from([0, 0, 1, -1, 3600, -3600, 86_400, -86_400]), max_size=30)
NOON = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # an hour before Europe's clocks go forward


class World(threading.Event):
    """Time that passes by waiting alone; the wall clock jumps whenever somebody looks at it."""

    def __init__(self, jumps: list[int], until: float) -> None:
        super().__init__()
        self.jumps, self.until, self.now, self.off = list(jumps), until, 0.0, 0
        self.begun: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        if self.now > self.until:
            self.set()
        return self.is_set()

    def wall(self) -> datetime:
        self.off += self.jumps.pop() if self.jumps else 0
        return NOON + timedelta(seconds=self.now + self.off)

    def turn(self, _: threading.Event) -> dict[str, str]:
        self.begun.append(self.now)
        return {"said": "so"}


@settings(max_examples=50, deadline=None)
@given(EVERY, JUMPS, st.integers(1, 40))
def test_a_running_server_turns_once_an_interval_whatever_the_wall_clock_does(
    every: float, jumps: list[int], intervals: int
) -> None:
    """RELIABILITY row 21: the schedule looks at the wall clock once, and then at one that only goes forward."""
    world = World(jumps, until=intervals * every + 1)
    schedule = Schedule(every, first_wait(every, NOON, NOON))
    with TemporaryDirectory() as folder:
        log = logger(io.StringIO())
        clocks: Any = {"clock": world.wall, "elapsed": lambda: world.now, "stop": world}
        Runner(Path(folder), schedule, world.turn, log, **clocks).run()
    assert world.begun == [every * n for n in range(1, intervals + 1)]


@settings(max_examples=50, deadline=None)
@given(EVERY, st.lists(st.floats(0, 5), min_size=1, max_size=20), st.booleans())
def test_two_turns_never_begin_nearer_than_what_is_left_of_an_interval_and_none_is_made_up_for(
    every: float, lengths: list[float], fails: bool
) -> None:
    schedule, now, begun = Schedule(every, 0.0), 0.0, list[float]()
    for length in lengths:
        now += schedule.wait(now)
        begun.append(now)
        now += length * every
        schedule.ended(now, failed=fails)
        assert schedule.due > now
        assert schedule.wait(now) <= max(every, LONGEST)
    assert all(abs(at / every - round(at / every)) < 1e-6 for at in begun), "on the grid of the first"


@settings(max_examples=50, deadline=None)
@given(EVERY, st.integers(-90_000, 200_000), JUMPS)
def test_a_restarted_server_waits_an_interval_since_the_last_turn_and_never_longer(
    every: float, since: int, jumps: list[int]
) -> None:
    now = NOON + timedelta(seconds=since + sum(jumps))
    wait = first_wait(every, NOON, now)
    assert 0 <= wait <= every
    if now >= NOON:
        assert abs(wait - max(0.0, every - (now - NOON).total_seconds())) < 1e-6
    assert first_wait(every, None, now) == first_wait(every, NOON, now, unfinished=True) == 0


def test_failures_come_later_each_time_but_within_a_day_and_one_success_ends_that() -> None:
    schedule, now, waits = Schedule(3600, 0.0), 0.0, list[float]()
    for _ in range(8):
        schedule.ended(now, failed=True)
        waits.append(schedule.wait(now) / 3600)
        now += schedule.wait(now)
    assert waits == [1, 2, 4, 8, 16, 24, 24, 24]
    schedule.ended(now)
    assert schedule.wait(now) == 3600
