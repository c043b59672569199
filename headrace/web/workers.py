"""Several server processes of one project: they share its store and its port, and one that dies is replaced."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from headrace.errors import HeadraceError
from headrace.web.server import bound_to, url_of
from headrace.web.worker import READY

_GRACE = 15.0  # seconds that a worker gets to end, more than its requests get
_LONGEST = 5.0  # seconds between two starts of a worker that dies each time
_STEADY = 30.0  # seconds after which a worker's death is not counted with the one before


def supervise(
    folder: Path,
    workers: int,
    *,
    host: str,
    port: int,
    log: FilteringBoundLogger,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Run `workers` servers of the project in `folder` until SIGINT or SIGTERM.

    `ready` is told the URL once all listen. Raises InputError where the port is in use, HeadraceError where a
    worker does not start.
    """
    with _reserved(host, port) as (url, taken), _signals() as stop:
        crew = [_Worker(folder, host, taken, log, stop) for _ in range(workers)]
        threads = [threading.Thread(target=worker.run, daemon=True) for worker in crew]
        for thread in threads:
            thread.start()
        if _all_ready(crew, stop) and ready is not None:
            ready(url)
        stop.wait()
        for worker in crew:
            worker.end()
        for thread in threads:
            thread.join()
    if any(worker.failed for worker in crew):
        raise HeadraceError("a worker did not start.", cure="Its log says why; serve with --workers 1.")


@contextmanager
def _reserved(host: str, port: int) -> Iterator[tuple[str, int]]:
    """The URL and port, held for as long as the block runs.

    First bound alone: a shared port would not notice that somebody else listens there already.
    """
    with bound_to(host, port) as alone:
        free = alone.getsockname()[1]
    with bound_to(host, free, shared=True) as held:
        yield url_of(held), free


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _all_ready(crew: list[_Worker], stop: threading.Event) -> bool:
    while not stop.is_set():
        if all(worker.ready.is_set() for worker in crew):
            return True
        stop.wait(0.02)
    return False


@dataclass(eq=False)
class _Worker:
    """One place of the crew: a process, and the next one where that dies."""

    folder: Path
    host: str
    port: int
    log: FilteringBoundLogger
    stop: threading.Event
    ready: threading.Event = field(default_factory=threading.Event)
    failed: bool = False
    _process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Start and start again, until told to stop."""
        wait = 0.1
        while not self.stop.is_set():
            began = time.monotonic()
            status = self._once()
            if self.stop.is_set():
                return
            if not self.ready.is_set():
                self.failed = True
                self.stop.set()
                return
            wait = 0.1 if time.monotonic() - began > _STEADY else min(2 * wait, _LONGEST)
            self.log.error("a worker died", status=status, again_in=wait)
            self.stop.wait(wait)

    def end(self) -> None:
        """Ask the process to end."""
        if self._process is not None:
            self._process.terminate()

    def _once(self) -> int:
        words = [sys.executable, "-m", "headrace.web.worker", str(self.folder), self.host, str(self.port)]
        # A session of its own: Ctrl-C in a terminal reaches this process, which then asks them all to end.
        self._process = process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        with process:
            if self.stop.is_set():
                process.terminate()
            for line in process.stdout or ():
                if line.strip() == READY:
                    self.ready.set()
            try:
                return process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()
