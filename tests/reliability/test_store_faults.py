"""The n-th call fails, for every n: a clean error, nothing acknowledged lost, and the retry succeeds.

Two places fail: a statement to the database (locked, no space, a failing disk, no memory), and a write below
SQLite or an artifact (no space, a failing disk), the latter on the simulated disk.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from store_disk import Disk
from store_script import SEED, Step, check, opened, run, script

from headrace.errors import StoreBusy, StoreError, StoreFull
from headrace.store import Store, database

# SQLite's connections are freed while the disk still fails: that says so, and nothing else.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
EVERY = [10, pytest.param(1, marks=pytest.mark.torture)]
Arm = Callable[[int, bool], None]


class Statements:
    """Counts statements and fails the n-th, before it is carried out or, of a COMMIT, after it."""

    def __init__(self, fault: Callable[[], BaseException]) -> None:
        self._fault, self._n, self._for_ever, self.calls = fault, 0, False, 0

    def arm(self, n: int, for_ever: bool = False) -> None:
        """Fail the n-th statement from now on; 0 none."""
        self._n, self._for_ever, self.calls = n, for_ever, 0

    def count(self) -> None:
        """A statement is about to run."""
        self.calls += 1
        if self._n and (self.calls == self._n or (self._for_ever and self.calls > self._n)):
            raise self._fault()

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Stores that are opened inside the block count their statements here."""
        statements = self

        class Cursor(sqlite3.Cursor):
            def execute(self, *arguments: Any) -> Any:
                statements.count()
                return super().execute(*arguments)

            def executemany(self, *arguments: Any) -> Any:
                statements.count()
                return super().executemany(*arguments)

        class Connection(sqlite3.Connection):
            def cursor(self, factory: Any = None) -> Any:
                return super().cursor(Cursor)

            def commit(self) -> None:
                statements.count()
                super().commit()
                statements.count()

            def rollback(self) -> None:
                statements.count()
                super().rollback()

        def engine(url: URL) -> Any:
            return create_engine(url, connect_args={"factory": Connection})

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database, "create_engine", engine)
            yield


def said_by_sqlite(name: str) -> Callable[[], sqlite3.OperationalError]:
    """What sqlite3 raises for this code."""

    def make() -> sqlite3.OperationalError:
        error = sqlite3.OperationalError("it failed")
        error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, name, 10), name
        return error

    return make


def said_by_the_disk(call: str, number: int) -> BaseException:
    """What a call of the simulated disk raises where the real one would set errno to `number`."""
    if call in ("create", "append", "fsync", "rename", "mkdir"):
        return OSError(number, os.strerror(number))
    error: apsw.Error = apsw.FullError() if number == errno.ENOSPC else apsw.IOError()
    error.extendedresult = apsw.SQLITE_FULL if number == errno.ENOSPC else apsw.SQLITE_IOERR
    return error


def walk(
    folder: Path,
    mounted: Callable[[], AbstractContextManager[None]],
    arm: Arm,
    kind: type[StoreError],
    every: int,
) -> int:
    """Fail call 1, 1 + `every`, ... until the script runs through; says how many calls it makes.

    The fault comes once, or stays until it is mended: by turns, or both for each call where `every` is 1.
    """
    steps, n, reached = script(SEED, 12), 1, True
    while reached:
        for for_ever in (False, True) if every == 1 else (n // every % 2 == 1,):
            fail = partial(arm, n, for_ever)
            reached = walk_once(
                folder / f"{n}-{for_ever}", mounted, fail, partial(arm, 0, False), steps, kind
            )
        n += every
    return n


def walk_once(
    folder: Path,
    mounted: Callable[[], AbstractContextManager[None]],
    fail: Callable[[], None],
    mend: Callable[[], None],
    steps: list[Step],
    kind: type[StoreError],
) -> bool:
    """One script with one fault; whether it was reached."""
    said = f"(HEADRACE_SEED={SEED}, {folder.name})"
    folder.mkdir()
    acknowledged: list[Step] = []
    held: list[Store] = []
    with mounted():
        fail()
        try:
            held.append(opened(folder))
            run(held[0], steps, acknowledged.append)
            failed = False
        except kind:
            failed = True
        mend()
        # A server goes on with the store that it holds; a command opens it anew.
        for store in [*held, opened(folder)]:
            check(store, steps, acknowledged, said)
            run(store, steps, lambda step: None)
            check(store, steps, steps, said)
            store.close()
    return failed


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (said_by_sqlite("SQLITE_BUSY"), StoreBusy),
        (said_by_sqlite("SQLITE_FULL"), StoreFull),
        (said_by_sqlite("SQLITE_IOERR_WRITE"), StoreFull),
        (said_by_sqlite("SQLITE_IOERR_FSYNC"), StoreError),
        (MemoryError, StoreError),
    ],
    ids=["locked", "full", "limit", "disk", "memory"],
)
def test_the_nth_statement_fails(
    tmp_path: Path, fault: Callable[[], BaseException], kind: type[StoreError], every: int
) -> None:
    statements = Statements(fault)
    assert walk(tmp_path, statements.mounted, statements.arm, kind, every) > 100


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StoreFull), (errno.EIO, StoreError)])
def test_the_nth_write_below_the_database_or_of_an_artifact_fails(
    tmp_path: Path, number: int, kind: type[StoreError], every: int
) -> None:
    disk = Disk(tmp_path)

    def arm(n: int, for_ever: bool) -> None:
        disk.mend()
        if n:
            disk.fail_at(n, lambda call: said_by_the_disk(call, number), for_ever=for_ever)

    assert walk(tmp_path, disk.mounted, arm, kind, every) > 100
