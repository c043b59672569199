"""How far long work is: one live bar on a terminal, a plain line every few seconds elsewhere. On stderr."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self, TextIO

from rich.console import Console

EVERY = 5.0  # seconds between two plain lines


class Progress:
    """Hears (stage, done, total) and shows it; a total of 0 is one that nobody knows yet."""

    def __init__(
        self, stream: TextIO, *, every: float = EVERY, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._every, self._monotonic = stream, every, monotonic
        self._live: Any = None
        self._bar: Any = None
        self._stage = ""
        self._began = self._said = monotonic()
        self._spoke = False
        self._first = 0  # what was done before this stage was heard of

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say that `done` of `total` are done in `stage`."""
        fresh = stage != self._stage
        if fresh:
            self._stage, self._began, self._spoke = stage, self._monotonic(), False
            self._first = done
        if self._stream.isatty():
            self._draw(done, total, fresh)
        else:
            self._line(done, total)

    def _draw(self, done: int, total: int, fresh: bool) -> None:
        if self._live is None:
            self._live = _bars(self._stream)
            self._live.start()
        if fresh:
            if self._bar is not None:
                self._live.remove_task(self._bar)
            self._bar = self._live.add_task(self._stage, total=None, completed=done, pace="")
        pace = self._pace(done, total, self._monotonic()).removeprefix(", ")
        self._live.update(self._bar, completed=done, total=total or None, pace=pace)

    def _line(self, done: int, total: int) -> None:
        """Every few seconds, and at the end of a stage that was spoken of."""
        now = self._monotonic()
        ends = bool(total) and done >= total and self._spoke
        if now - self._said < self._every and not ends:
            return
        self._said, self._spoke = now, not ends
        much = f"{done:,} of {total:,}" if total else f"{done:,}"
        said = f": {much}, {now - self._began:.0f} s" if done else " ..."
        self._stream.write(f"{self._stage}{said}{self._pace(done, total, now)}\n")
        self._stream.flush()

    def _pace(self, done: int, total: int, now: float) -> str:
        """How fast it goes and how long it will take, where that can be said."""
        fresh, seconds = done - self._first, now - self._began
        if fresh <= 0 or seconds <= 0 or done >= total:
            return ""
        left = (total - done) * seconds / fresh
        return f", {fresh / seconds:,.0f}/s, {_span(left)} left"


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _bars(stream: TextIO) -> Any:
    from rich import progress

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[pace]}"),
        console=Console(file=stream),
        transient=True,
    )
