"""One database, SQLite or Postgres: connections, transactions, migrations, and errors in plain words.

SQLite runs in WAL mode with `synchronous=FULL`, because NORMAL loses acknowledged rows at a power cut. Every
write begins with BEGIN IMMEDIATE: a transaction that reads first and writes later fails at once where another
process writes, whatever the busy timeout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from headrace.errors import InputError, MissingExtra, StoreBusy, StoreError, StoreFull

T = TypeVar("T")
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "headrace_version"
BUSY_SECONDS = 30

# What a database says when it fails, and what a person should read instead.
_PLAIN: tuple[tuple[str, type[StoreError], str, str], ...] = (
    ("disk is full", StoreFull, "no space is left for the store.", "Free some space and run it again."),
    ("no space left", StoreFull, "no space is left for the store.", "Free some space and run it again."),
    ("disk i/o error", StoreFull, "the disk took no more bytes.", "Check free space and file size limits."),
    ("readonly", StoreError, "the store may only be read.", "Give yourself the right to write there."),
    ("read-only", StoreError, "the store may only be read.", "Give yourself the right to write there."),
    (
        "unable to open",
        StoreError,
        "the store cannot be opened.",
        "Check that the folder exists and is yours.",
    ),
    ("locked", StoreBusy, "another process is writing to the store.", "Wait for it to end and run it again."),
    ("not a database", StoreError, "the file is not a database.", "Restore it: headrace restore BACKUP"),
    ("malformed", StoreError, "the store is damaged.", "Restore it: headrace restore BACKUP"),
    ("no such table", StoreError, "the store lacks a table.", "Restore it: headrace restore BACKUP"),
    ("connection refused", StoreError, "the database does not answer.", "Start it, or correct `store:`."),
)


class Database:
    """Connections to one database; `where` is how messages name it (no password)."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.where = self.engine.url.render_as_string(hide_password=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database."""
        with self._plain_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction, committed at the end and rolled back on any error."""
        with self._plain_errors(), self.engine.connect() as connection:
            writing = connection.execution_options(headrace_write=True)
            with writing.begin():
                yield writing

    def upgrade(self) -> None:
        """Create the tables or bring them to this version; a no-op where they are there already."""
        scripts = _scripts()
        with self._plain_errors(), self.engine.connect() as connection:
            if _is_current(connection, scripts):
                return
            connection.rollback()
            scripts.attributes["connection"] = connection
            command.upgrade(scripts, "head")

    def is_current(self) -> bool:
        """Whether the tables are those of this version; changes nothing."""
        with self._plain_errors(), self.engine.connect() as connection:
            return _is_current(connection, _scripts())

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._plain(error) from error

    def _plain(self, error: DBAPIError) -> StoreError:
        said = str(error.orig).lower()
        for words, kind, what, cure in _PLAIN:
            if words in said:
                return kind(what, where=self.where, cure=cure)
        return StoreError(
            f"the database refused: {error.orig}", where=self.where, cure="Run: headrace doctor"
        )


def retry_busy(work: Callable[[], T], *, tries: int = 3, sleep: Callable[[float], None] = time.sleep) -> T:
    """Run `work` again when another process holds the store; the last StoreBusy is raised."""
    for attempt in range(tries - 1):
        try:
            return work()
        except StoreBusy:
            sleep(0.1 * 2**attempt)
    return work()


def _scripts() -> Config:
    scripts = Config()
    scripts.set_main_option("script_location", str(MIGRATIONS))
    return scripts


def _is_current(connection: Connection, scripts: Config) -> bool:
    found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return found.get_current_revision() == ScriptDirectory.from_config(scripts).get_current_head()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        if parsed.get_backend_name() != "sqlite":
            raise InputError(
                f"a store is SQLite or Postgres, not {parsed.get_backend_name()}.",
                where="store",
                cure="Write a file name or postgresql://user@host/name.",
            )
        engine = create_engine(parsed, poolclass=NullPool if parsed.database == ":memory:" else None)
    except ArgumentError:
        raise InputError(f"{url!r} is not a database URL.", where="store") from None
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtra("A Postgres store", "postgres") from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("headrace_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
