"""One turn at a time per project, by a lock that a crash does not leave behind."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import text

from headrace.errors import AlreadyRunning
from headrace.store.database import Database
from headrace.store.failures import database_errors, disk_errors

# Any fixed number does: it names the lock within one Postgres database.
_ADVISORY = 7_263_481


@contextmanager
def only_one(database: Database, folder: Path, work: str, name: str = "") -> Iterator[None]:
    """Hold the project's lock for `work`; raises AlreadyRunning at once where another process holds it.

    Locks of another `name` are apart from it.

    SQLite: flock on a file, which dies with its process. Postgres: an advisory lock of the session, which
    other machines see too. Raises StoreError where the folder or the database cannot be used.
    """
    busy = AlreadyRunning(
        f"another {work} is running in this project.", cure="Wait for it to end and run it again."
    )
    with ExitStack() as held:
        with disk_errors(str(folder)):
            try:
                held.enter_context(FileLock(folder / f".{name}lock", timeout=0))
            except Timeout:
                raise busy from None
        if not database.is_sqlite:
            held.enter_context(_advisory(database, busy, _ADVISORY + zlib.crc32(name.encode())))
        yield


@contextmanager
def _advisory(database: Database, busy: AlreadyRunning, number: int) -> Iterator[None]:
    # Each statement its own transaction: one open for a whole turn keeps the server from cleaning up.
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with ExitStack() as held:
        with database_errors(database.where):
            connection = held.enter_context(engine.connect())
            if not connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": number}).scalar():
                raise busy
        try:
            yield
        finally:
            with database_errors(database.where):
                connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": number})
