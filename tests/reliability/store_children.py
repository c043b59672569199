"""Child processes that use a store and may be killed: started by a fork server that has imported all.

A child says over a pipe what was acknowledged; the parent kills it by its own handle.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from store_script import adapter, answer, correction, opened, row, run, script

from headrace.errors import HeadraceError, StoreBusy
from headrace.store.lock import only_one

_FORKS = multiprocessing.get_context("forkserver")
Job = Callable[..., None]


@dataclass
class Child:
    """A process that does one job; `heard` is what it has said."""

    process: Any
    pipe: Connection
    heard: list[Any] = field(default_factory=list)

    def wait_for(self, what: str) -> None:
        """Until it says `what`; raises AssertionError where it ends without."""
        while what not in self.heard:
            self.heard.append(self._next())

    def kill(self) -> list[Any]:
        """SIGKILL, where it has not ended by itself; what it had said, the rest of the pipe included."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        return self.end()

    def end(self) -> list[Any]:
        """Wait for its end; what it had said."""
        try:
            while True:
                self.heard.append(self.pipe.recv())
        except (EOFError, OSError):
            self.process.join()
        return self.heard

    def _next(self) -> Any:
        try:
            return self.pipe.recv()
        except EOFError:
            raise AssertionError(f"it ended after {self.heard}") from None


@contextmanager
def child(job: Job, *arguments: Any) -> Iterator[Child]:
    """A child that does `job(pipe, *arguments)`, gone at the end of the block."""
    made = start(job, *arguments)
    try:
        yield made
    finally:
        if made.process.is_alive():
            made.kill()


def start(job: Job, *arguments: Any) -> Child:
    """Like `child`, for whoever ends it by hand."""
    with pytest.MonkeyPatch.context() as patch:
        # The fork server imports this module by name, from where pytest found it.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        _FORKS.set_forkserver_preload(["store_children"])
        ours, theirs = _FORKS.Pipe(duplex=False)
        process = _FORKS.Process(target=job, args=(theirs, *arguments))
        process.start()
        theirs.close()
    return Child(process, ours)


def work(pipe: Connection, folder: Path, location: str, seed: int) -> None:
    """Every verb of the script, one after the other, without an end; each acknowledged by its name."""
    with opened(folder, location).closing() as store:
        pipe.send("open")
        run(store, script(seed, 10_000), lambda step: pipe.send(step.name))


def create(pipe: Connection, folder: Path, location: str) -> None:
    """Open a store that is not there yet."""
    pipe.send("begin")
    opened(folder, location).close()
    pipe.send("open")


def add_the_same(pipe: Connection, folder: Path, location: str, worker: int, rows: int) -> None:
    """Rows that every worker adds, in its own order, and feedback of which half is every worker's."""
    names = list(range(rows))
    random.Random(worker).shuffle(names)
    with opened(folder, location).closing() as store:
        store.answers.add([answer("all")])
        for begin in range(0, rows, 10):
            part = names[begin : begin + 10]
            added = store.rows.add([same(name) for name in part], run=f"run {worker}")
            for name in part:
                store.feedback.add(correction(f"{name}", "all"))
                store.feedback.add(correction(f"{worker}-{name}", "all"))
            store.usage.add({("shop", "2026-03-01"): len(part)})
            pipe.send(added)


def same(name: int) -> Any:
    """The row that every worker adds under this number; one private detail in it."""
    made = row(f"{name}")
    made.masked["email"] = 1  # type: ignore[index]
    return made


def hold(pipe: Connection, folder: Path, location: str) -> None:
    """Take the turn lock and keep it."""
    with opened(folder, location).closing() as store, only_one(store.database, folder, "turn"):
        pipe.send("held")
        time.sleep(600)


def count(pipe: Connection, folder: Path, location: str, lock: Path, times: int) -> None:
    """Add to a number in a file under the turn lock, reading and writing it in two steps."""
    number = folder / "number"
    with opened(folder, location).closing() as store:
        done = 0
        while done < times:
            try:
                with only_one(store.database, lock, "turn"):
                    found = int(number.read_text())
                    time.sleep(0.001)
                    number.write_text(f"{found + 1}")
                    done += 1
            except StoreBusy:
                time.sleep(0.002)
    pipe.send(done)


def write_pairs(pipe: Connection, folder: Path, location: str, worker: int) -> None:
    """Pairs of an answer and its feedback, and adapters with their files, each in one transaction."""
    with opened(folder, location).closing() as store:
        number = 0
        while True:
            name = f"{worker}-{number}"
            files = {"head.safetensors": store.artifacts.put(name.encode() * 500)} if number % 9 == 0 else {}
            with store.transaction() as connection:
                store.answers.add_in(connection, [answer(name)])
                store.feedback.add_in(connection, correction(name))
                store.history.add_in(connection, adapter(name, files))
            number += 1
            pipe.send(name)


def fill(pipe: Connection, folder: Path, limit: int, what: str) -> None:
    """Write until files may not grow beyond `limit` bytes; says what was acknowledged, then the error."""
    with opened(folder).closing() as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        number = 0
        try:
            while number < 10_000:
                if what == "artifacts":
                    pipe.send(store.artifacts.put(os.urandom(1) * 1000 * 2**number))
                else:
                    store.answers.add([answer(f"{number}")])
                    pipe.send(f"ans_{number}")
                number += 1
        except HeadraceError as error:
            pipe.send((type(error).__name__, error.message))


def as_nobody(pipe: Connection, folder: Path) -> None:
    """Use a store as a user who may only read it."""
    with tempfile.TemporaryDirectory() as name:  # every module is loaded while it may be read
        opened(Path(name)).close()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    for verb in ("open", "write", "artifact", "lock"):
        try:
            with opened(folder).closing() as store:
                if verb == "write":
                    store.answers.add([answer("new")])
                if verb == "artifact":
                    store.artifacts.put(b"new")
                if verb == "lock":
                    with only_one(store.database, folder, "turn"):
                        pass
            pipe.send((verb, "", ""))
        except HeadraceError as error:
            pipe.send((verb, type(error).__name__, error.message))


def hold_a_write(pipe: Connection, folder: Path, location: str) -> None:
    """Begin a write that every other one has to wait for, and do not end it."""
    with opened(folder, location).closing() as store, store.transaction() as connection:
        store.rows.add_in(connection, [row("held")], run="held")
        pipe.send("held")
        time.sleep(600)
