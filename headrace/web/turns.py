"""`headrace serve --turn-every`: a turn again and again beside the server, each in a process of its own.

At low priority, never two at once, one runner however many workers serve. A turn that fails stops nothing: the
next one comes an interval later, after further failures twice as late each time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from structlog.typing import FilteringBoundLogger

from headrace.errors import MissingExtra, StoreError
from headrace.project import Project
from headrace.recipe import Recipe
from headrace.records import Clock, utc_now
from headrace.reports.alerts import News, refuse_unusable, tell
from headrace.store import planned
from headrace.store.planned import Planned
from headrace.web.schedule import Schedule, first_wait

GRACE = 30.0  # seconds that a turn gets to stop: at most a batch of training and the checkpoint after it
_LOOK = 0.05  # seconds between two looks at a turn's process
_TRAINING = ("torch", "transformers", "onnx")


class RunsTurn(Protocol):
    """Runs one turn until it ends, or until `stop` is set: it is then asked to stop."""

    def __call__(self, stop: threading.Event, /) -> Mapping[str, Any]:
        """How it ended: what was `said`, or why it `failed`, was `stopped` or found another turn `busy`."""


class Runner:
    """Turns by a schedule, one after another. `elapsed` is a clock that only goes forward; `clock` is shown."""

    def __init__(
        self,
        folder: Path,
        schedule: Schedule,
        turn: RunsTurn,
        log: FilteringBoundLogger,
        *,
        clock: Clock = utc_now,
        elapsed: Callable[[], float] = time.monotonic,
        stop: threading.Event | None = None,
    ) -> None:
        self._folder, self._schedule, self._turn, self._log = folder, schedule, turn, log
        self._clock, self._elapsed = clock, elapsed
        self._stop = stop or threading.Event()
        self._thread = threading.Thread(target=self.run, name="headrace-turns", daemon=True)

    def start(self) -> None:
        """Begin to wait for the first turn, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask a turn under way to stop, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Turn after turn, until told to stop."""
        while not self._stop.is_set():
            self._note()
            if not self._stop.wait(self._schedule.wait(self._elapsed())):
                self._once()

    def _once(self) -> None:
        self._note(under_way=True)
        began = self._elapsed()
        try:
            found = dict(self._turn(self._stop))
        except Exception as error:  # the schedule outlives whatever one turn does
            found = {"failed": type(error).__name__}
        now = self._elapsed()
        self._schedule.ended(now, failed="failed" in found)
        ahead = round(self._schedule.wait(now))
        tell_log = self._log.error if "failed" in found else self._log.info
        tell_log("turn", **found, seconds=round(now - began, 1), again_in=ahead)

    def _note(self, *, under_way: bool = False) -> None:
        """Say for `headrace status` when the next turn is due."""
        now = self._clock()
        ahead = timedelta(seconds=self._schedule.wait(self._elapsed()))
        s = self._schedule
        note = Planned(s.every, None if under_way else now + ahead, now if under_way else None, s.failures)
        try:
            planned.write(self._folder, note)
        except StoreError as error:
            self._log.warning("the plan could not be noted", why=error.what)


class TurnProcess:
    """Runs a turn as `python -m headrace.web.turning FOLDER`; `words` may name another program."""

    def __init__(self, recipe: Recipe, folder: Path, words: tuple[str, ...] = ()) -> None:
        self._recipe, self._folder = recipe, folder
        self._words = words or (sys.executable, "-m", "headrace.web.turning", str(folder))

    def __call__(self, stop: threading.Event) -> Mapping[str, Any]:
        """Run it to its end; with `stop` it is asked to stop, and killed after GRACE seconds."""
        # A session of its own: Ctrl-C in a terminal reaches the server, which then asks the turn to stop.
        with subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            try:
                while process.poll() is None and not stop.wait(_LOOK):
                    continue
                asked = process.poll() is None
                _end(process)
                return self._told(process, stopped=asked)
            finally:
                _kill(process)

    def _told(self, process: subprocess.Popen[str], *, stopped: bool) -> Mapping[str, Any]:
        lines = (process.stdout.read() if process.stdout else "").splitlines()
        if not lines and stopped:
            return {"stopped": True}
        ended = {"failed": f"its process ended with status {process.returncode}.", "untold": True}
        found: dict[str, Any] = json.loads(lines[-1]) if lines else ended
        if found.pop("untold", False):
            tell(self._recipe, [News("failure", f"A turn failed: {found['failed']}")])
        return found


@contextmanager
def turning(project: Project, every: timedelta, log: FilteringBoundLogger) -> Iterator[Runner]:
    """A runner of the project's turns, not started yet; with the block a turn under way is asked to stop.

    Raises MissingExtra where training, or an alert that the recipe wants, needs packages that are not
    installed; StoreBusy where another server runs the turns of this project.
    """
    refuse_without_training()
    refuse_unusable(project.recipe)
    seconds = every.total_seconds()
    turns = project.store.turns
    last = next((turn.started for turn in turns.list(20) if turn.finished), None)
    wait = first_wait(seconds, last, project.clock(), unfinished=turns.open() is not None)
    schedule = Schedule(seconds, time.monotonic() + wait)
    with planned.planning(project.folder):
        runner = Runner(project.folder, schedule, TurnProcess(project.recipe, project.folder), log)
        try:
            yield runner
        finally:
            runner.stop()


def refuse_without_training() -> None:
    """Raise MissingExtra where headrace[train] is not installed; imports nothing of it."""
    if not all(map(_installed, _TRAINING)):
        raise MissingExtra("serve --turn-every", "train")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a process to end, where it has not; kill it where it does not in time."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a process, where it lives, and whatever it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
