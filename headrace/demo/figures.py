"""A turn of the project -> the figures that tables and the page are made of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from headrace.data.progress import Progress
from headrace.flywheel import PairTurn, Turn
from headrace.reports.figures import ChannelFigures, JudgedFigures, Serves, Step, TurnFigures
from headrace.reports.status import PairStatus


class Stopwatch:
    """Hears the progress of a turn and remembers how long each stage took; passes it on to `also`."""

    def __init__(self, also: Progress | None = None) -> None:
        self._also, self._began = also, time.perf_counter()
        self._stages: dict[str, tuple[float, float]] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """One report of progress."""
        now = time.perf_counter() - self._began
        start, _ = self._stages.get(stage, (now, now))
        self._stages[stage] = (start, now)
        if self._also:
            self._also(stage, done, total)

    @property
    def seconds(self) -> float:
        """Seconds since this watch was started."""
        return time.perf_counter() - self._began

    def steps(self) -> tuple[Step, ...]:
        """The stages in the order in which they began."""
        return tuple(Step(name, start, end - start) for name, (start, end) in self._stages.items())


def turn_figures(
    turn: Turn, status: Sequence[PairStatus], watch: Stopwatch, *, started: datetime
) -> TurnFigures:
    """The figures of a turn that has just ended; `status` is the project's after it."""
    by_pair = {(pair.task, pair.channel): pair for pair in turn.pairs}
    return TurnFigures(
        turn=turn.id,
        started=started,
        seconds=watch.seconds,
        channels=tuple(channel_figures(now, by_pair.get((now.task, now.channel))) for now in status),
        steps=watch.steps(),
        judged=tuple(
            JudgedFigures(p.task, p.channel, p.challenger.id, p.after)
            for p in turn.pairs
            if p.challenger and p.after
        ),
    )


def channel_figures(now: PairStatus, pair: PairTurn | None) -> ChannelFigures:
    """One (task, channel): what came in, what serves, and what the turn did."""
    adapter = now.adapter
    return ChannelFigures(
        task=now.task,
        channel=now.channel,
        rows_in=now.rows + now.rejected.get("duplicate", 0),
        examples=now.train + now.test,
        rejected=now.rejected,
        masked=now.masked,
        serves=serves(now),
        adapter=adapter.id if adapter else "",
        method=str(adapter.lineage.get("method", "")) if adapter else "",
        before=pair.before.accuracy if pair and pair.before else None,
        after=now.judged.accuracy if now.judged else None,
        seconds=adapter.seconds if adapter else 0.0,
        size_bytes=adapter.size if adapter else 0,
        answers=now.answers,
        feedback_waiting=now.feedback_waiting,
        decision=pair.message if pair else "",
    )


def serves(now: PairStatus) -> Serves:
    """Whether a channel is on its own adapter, on the shared one, or on none yet."""
    if now.adapter is None:
        return "not yet"
    return "own" if now.adapter.channel else "shared"
