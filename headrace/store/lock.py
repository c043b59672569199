"""One turn at a time per project, by a lock that a crash does not leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import text

from headrace.errors import StoreBusy
from headrace.store.database import Database

# Any fixed number does: it names the lock within one Postgres database.
_ADVISORY = 7_263_481


@contextmanager
def only_one(database: Database, folder: Path, work: str) -> Iterator[None]:
    """Hold the project's lock for `work`; raises StoreBusy at once where another process holds it.

    SQLite: flock on a file, which dies with its process. Postgres: an advisory lock of the session, which
    other machines see too.
    """
    busy = StoreBusy(f"another {work} is running in this project.", cure="Wait for it to end and run it again.")
    try:
        with FileLock(folder / ".lock", timeout=0), _advisory(database, busy):
            yield
    except Timeout:
        raise busy from None


@contextmanager
def _advisory(database: Database, busy: StoreBusy) -> Iterator[None]:
    if database.is_sqlite:
        yield
        return
    with database.engine.connect() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": _ADVISORY}).scalar():
            raise busy
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _ADVISORY})
