"""Trainings side by side, each in a process of its own with one thread, where enough of them wait.

The processes only make it faster: what one could not train, or did not finish because it was killed, is not
there, and whoever asked trains it one after another and hears then what is wrong. They get lessons and give
back files, over pipes; the store is written by the asker alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from base64 import b64decode
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from headrace.tuning.lesson import Lesson, Trained

COMMAND = (sys.executable, "-m", "headrace.flywheel.training.apprentice")
PROCESSES = 2
AHEAD = 2 * PROCESSES
"""Lessons that are in memory at once, at most, besides the one whose adapter is being kept."""
ENOUGH_CHANNELS, ENOUGH_ROWS = 3, 4000
"""Channels to train, and their training rows together, from which two processes are faster than none."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Asked:
    """A lesson, whose it is, the key of its adapter, and which of all channels that is (from 1).

    `graph` has path and SHA-256 of each file of the graph that will serve it; without, no reach is learned.
    """

    channel: str
    key: str
    number: int
    lesson: Lesson
    graph: Mapping[str, tuple[Path, str]] = field(default_factory=dict)

    def to_json(self) -> str:
        """What a process is told, one line."""
        graph = {name: (str(path), digest) for name, (path, digest) in self.graph.items()}
        return json.dumps({"lesson": self.lesson.to_json(), "graph": graph})


@dataclass(frozen=True)
class Made:
    """An adapter, and the content of its radius.json where that was learned, too."""

    trained: Trained
    reach: bytes | None

    @classmethod
    def from_json(cls, line: str) -> Made | None:
        """What a process said; None where it failed."""
        said = json.loads(line)
        if "trained" not in said:
            return None
        reach = said["reach"]
        return cls(Trained.from_json(said["trained"]), None if reach is None else b64decode(reach))


def worth_it(asked: Iterator[Asked]) -> list[Asked]:
    """The first lessons, as many as show that starting processes pays; none where there are too few."""
    first: list[Asked] = []
    if cores() < PROCESSES:
        return first
    for one in asked:
        first.append(one)
        if sum(len(each.lesson.training) for each in first) >= ENOUGH_ROWS and len(first) >= ENOUGH_CHANNELS:
            return first
    return []


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class SideBySide:
    """Processes that train, for one `with` block; they end with it, whatever ends it.

    `lost` says what happened where one of them ended before its time; nothing is asked of them from then on.
    """

    def __init__(self, processes: int = PROCESSES) -> None:
        self.lost = ""
        self._processes = processes
        self._started: list[subprocess.Popen[str]] = []
        self._idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()

    def __enter__(self) -> SideBySide:
        self._threads = ThreadPoolExecutor(self._processes)
        try:
            for _ in range(self._processes):
                self._started.append(_start())
                self._idle.put(self._started[-1])
        except OSError as error:
            self.lost = f"a training process could not be started ({error.strerror})"
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._started:
            with contextlib.suppress(BrokenPipeError), process:  # what nobody read any more
                process.wait()

    def learn(self, lessons: Iterable[Asked]) -> Iterator[tuple[Asked, Made | None]]:
        """What each lesson taught, in their order; None where it must be trained by the asker."""
        waiting: deque[tuple[Asked, Future[Made | None]]] = deque()
        for asked in lessons:
            waiting.append((asked, self._threads.submit(self._ask, asked)))
            if len(waiting) > AHEAD:
                yield _heard(waiting.popleft())
        while waiting:
            yield _heard(waiting.popleft())

    def _ask(self, asked: Asked) -> Made | None:
        if self.lost:
            return None
        process = self._idle.get()
        try:
            said = "" if self.lost else _answer(process, asked)
        finally:
            self._idle.put(process)
        if not said:
            self.lost = self.lost or f"a training process ended early (status {process.wait()})"
            return None
        return Made.from_json(said)


def _heard(waiting: tuple[Asked, Future[Made | None]]) -> tuple[Asked, Made | None]:
    asked, future = waiting
    return asked, future.result()


def _start() -> subprocess.Popen[str]:
    # A session of its own: Ctrl-C in a terminal reaches this process alone, which then ends them.
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **_ONE_THREAD},
        start_new_session=True,
    )


def _answer(process: subprocess.Popen[str], asked: Asked) -> str:
    """The line that a process answers; empty where it is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(asked.to_json() + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    line = process.stdout.readline()
    return line if line.endswith("\n") else ""
