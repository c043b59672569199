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
            self._bar = self._live.add_task(self._stage, total=None)
        self._live.update(self._bar, completed=done, total=total or None)

    def _line(self, done: int, total: int) -> None:
        """Every few seconds, and at the end of a stage that was spoken of."""
        now = self._monotonic()
        ends = bool(total) and done >= total and self._spoke
        if now - self._said < self._every and not ends:
            return
        self._said, self._spoke = now, not ends
        much = f"{done:,} of {total:,}" if total else f"{done:,}"
        said = f": {much}, {now - self._began:.0f} s" if done else " ..."
        self._stream.write(f"{self._stage}{said}\n")
        self._stream.flush()


def _bars(stream: TextIO) -> Any:
    from rich import progress

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        console=Console(file=stream),
        transient=True,
    )
