"""One database, SQLite or Postgres: connections, transactions, migrations, and errors in plain words.

SQLite runs in WAL mode with `synchronous=FULL`, because NORMAL loses acknowledged rows at a power cut. Every
write begins with BEGIN IMMEDIATE: a transaction that reads first and writes later fails at once where another
process writes, whatever the busy timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from headrace.errors import InputError, MissingExtra, StoreError
from headrace.store.failures import database_errors

T = TypeVar("T")
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "headrace_version"
BUSY_SECONDS = 30.0
# Pages of SQLite's log (32 MB) after which who commits has to empty it; a server does so itself, and earlier.
_LOG_PAGES = 8_000


class Database:
    """Connections to one database; `where` is how messages name it (no password).

    A write waits at most `busy_seconds` for another process that writes, then raises StoreBusy.
    """

    def __init__(self, url: str, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.engine = _engine(url, busy_seconds)
        self.where = self.engine.url.render_as_string(hide_password=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        # SQLite's readers see one state anyway; Postgres's do when they are told to.
        self._reader = (
            self.engine
            if self.is_sqlite
            else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the database."""
        with database_errors(self.where), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction, committed at the end and rolled back on any error."""
        with database_errors(self.where), self.engine.connect() as connection:
            writing = connection.execution_options(headrace_write=True)
            with writing.begin():
                yield writing

    def revision(self) -> str | None:
        """The revision of its schema, None before the first; raises StoreError where it cannot be read."""
        with database_errors(self.where), self.engine.connect() as connection:
            found: str | None = _migration(connection).get_current_revision()
        return found

    def is_current(self) -> bool:
        """Whether its tables are of this version; raises StoreError where a newer Headrace wrote them."""
        found = self.revision()
        check_known(found, self.where)
        return found == _revisions()[0]

    def upgrade(self, to: str = "head") -> None:
        """Create the tables or bring them to this version; a no-op where they are there already.

        `to` names an earlier schema. Raises StoreError where a newer Headrace has written the store.
        """
        if self.is_current():
            return
        scripts = _scripts()
        with database_errors(self.where), self.engine.connect() as connection:
            scripts.attributes["connection"] = connection
            command.upgrade(scripts, to)

    def checkpoint(self) -> None:
        """Move what SQLite's log holds into its file, without holding anybody up; called often, it is short.

        Who commits else does that, for all, at a moment of SQLite's choosing. Of Postgres it is no business.
        """
        if self.is_sqlite:
            with database_errors(self.where), closing(self.engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def check_known(revision: str | None, where: str) -> None:
    """Raises StoreError where this version of Headrace does not know the schema `revision`."""
    if revision is not None and revision not in _revisions():
        raise StoreError(
            f"a newer Headrace has written this (schema {revision}).",
            where=where,
            cure="Run: pip install --upgrade headrace",
        )


def _scripts() -> Config:
    scripts = Config()
    scripts.set_main_option("script_location", str(MIGRATIONS))
    return scripts


@cache
def _revisions() -> tuple[str, ...]:
    """Every schema that this version of Headrace knows, the newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_scripts()).walk_revisions())


def _migration(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})


def _engine(url: str, busy_seconds: float) -> Engine:
    milliseconds = int(busy_seconds * 1000)
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
            event.listen(engine, "connect", lambda made, _: _prepare(_prepare_postgres, made, milliseconds))
            return engine
        if parsed.get_backend_name() != "sqlite":
            raise InputError(
                f"a store is SQLite or Postgres, not {parsed.get_backend_name()}.",
                where="store",
                cure="Write a file name or postgresql://user@host/name.",
            )
        if parsed.database in (None, "", ":memory:"):
            raise InputError("a store in memory would not last.", where="store", cure="Write a file name.")
        engine = create_engine(parsed)
    except ArgumentError:
        raise InputError(f"{url!r} is not a database URL.", where="store") from None
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtra("A Postgres store", "postgres") from error
    event.listen(engine, "connect", lambda made, _: _prepare(_prepare_sqlite, made, milliseconds))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare(prepare: Callable[[Any, int], None], connection: Any, milliseconds: int) -> None:
    try:
        prepare(connection, milliseconds)
    except BaseException:
        # Nobody else closes it, and until it is collected its locks would stand in the way.
        connection.close()
        raise


def _prepare_postgres(connection: Any, milliseconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {milliseconds}")
    connection.commit()


def _prepare_sqlite(connection: Any, milliseconds: int) -> None:
    connection.isolation_level = None
    # A cursor that is left open would hold its locks beyond its connection.
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"PRAGMA busy_timeout={milliseconds}")
        if cursor.execute("PRAGMA journal_mode").fetchall() != [("wal",)]:
            cursor.execute("PRAGMA journal_mode=WAL").fetchall()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        cursor.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("headrace_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
