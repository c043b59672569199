"""What must survive: tables, migrations and artifacts.

The flywheel's circle lives here, never in imports: each package writes records that the next one reads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from headrace.errors import NotFound, StoreError
from headrace.store.access import Keys, Turns, TurnState, Usage
from headrace.store.answers import Answers, Replies, Reply
from headrace.store.artifacts import Artifacts
from headrace.store.backup import read_backup, read_recipe, write_backup
from headrace.store.conversations import Conversations, Tickets
from headrace.store.database import BUSY_SECONDS, Database
from headrace.store.deliveries import Deliveries
from headrace.store.examples import Examples
from headrace.store.failures import disk_errors
from headrace.store.feedbacks import Feedbacks
from headrace.store.forgets import Forgets
from headrace.store.knowledge import Documents, Searches
from headrace.store.releases import History
from headrace.store.rows import Added, Cursors, Quarantine, Rows
from headrace.store.steps import Steps
from headrace.store.trials import Salts, Shadows, Trials
from headrace.store.users import Sessions, Users

__all__ = ["Added", "Database", "Reply", "Store", "TurnState", "read_recipe"]


class Store:
    """A project's store: one attribute a noun, and the folder of artifacts."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self.database = database
        self.artifacts = artifacts
        self.rows = Rows(database)
        self.quarantine = Quarantine(database)
        self.cursors = Cursors(database)
        self.examples = Examples(database)
        self.history = History(database)
        self.answers = Answers(database)
        self.feedback = Feedbacks(database)
        self.replies = Replies(database)
        self.keys = Keys(database)
        self.usage = Usage(database)
        self.turns = Turns(database)
        self.steps = Steps(database)
        self.forgets = Forgets(database)
        self.trials = Trials(database)
        self.shadows = Shadows(database)
        self.salts = Salts(database)
        self.documents = Documents(database)
        self.searches = Searches(database)
        self.conversations = Conversations(database)
        self.tickets = Tickets(database)
        self.users = Users(database)
        self.sessions = Sessions(database)
        self.deliveries = Deliveries(database)

    @classmethod
    def open(
        cls, location: str, folder: Path, *, create: bool = False, busy_seconds: float = BUSY_SECONDS
    ) -> Store:
        """Open the store at `location`, a file within `folder` or a database URL, its schema upgraded.

        Artifacts stand in `folder`/artifacts. A write waits at most `busy_seconds` for another process.
        Raises NotFound where there is no store and `create` is False, StoreError where it cannot be opened.
        """
        artifacts = Artifacts(folder / "artifacts")
        url = location
        if "://" not in location:
            path = (folder / location).resolve()
            with disk_errors(str(path)):
                _check_file(path, artifacts, create)
            url = f"sqlite:///{path}"
        database = Database(url, busy_seconds=busy_seconds)
        try:
            database.upgrade()
            artifacts.sweep(time.time())
        except BaseException:
            database.close()
            raise
        return cls(database, artifacts)

    @staticmethod
    def is_there(location: str, folder: Path) -> bool:
        """Whether a store was ever made at `location`; changes nothing.

        Raises NotFound where there was one, and it is lost; StoreError where nobody can tell.
        """
        if "://" in location:
            database = Database(location)
            try:
                return database.revision() is not None
            finally:
                database.close()
        path = (folder / location).resolve()
        if not path.is_file() and any(Artifacts(folder / "artifacts")):
            raise _missing(path, lost=True)
        return path.is_file()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction over several of the `_in` calls."""
        with self.database.write() as connection:
            yield connection

    def backup(self, to: Path, recipe: str, *, over: bool = False) -> int:
        """Write everything to the tar file `to`, while others write; returns its size in bytes."""
        return write_backup(self.database, self.artifacts, recipe, to, over=over)

    def restore(self, backup: Path) -> dict[str, int]:
        """Fill this empty store from a backup; returns the rows of each table."""
        return read_backup(backup, self.database, self.artifacts)

    @contextmanager
    def closing(self) -> Iterator[Store]:
        """This store, closed at the end of the `with` block."""
        try:
            yield self
        finally:
            self.close()

    def close(self) -> None:
        """Give every connection back."""
        self.database.close()


def _check_file(path: Path, artifacts: Artifacts, create: bool) -> None:
    """Whether there is a store at `path` or may be one from now on."""
    if not create and not path.is_file():
        raise _missing(path, lost=any(artifacts))
    # An empty file is a store whose creation was cut off, unless something was made with it.
    if path.is_file() and not path.stat().st_size and not _log_of(path) and any(artifacts):
        raise StoreError(
            "the store has lost its content.", where=str(path), cure="Restore it: headrace restore BACKUP"
        )
    path.parent.mkdir(parents=True, exist_ok=True)


def _missing(path: Path, *, lost: bool) -> NotFound:
    restore = "Restore a backup into another folder: headrace restore BACKUP --project DIR"
    return NotFound(f"no store at {path}.", cure=restore if lost else "Run: headrace init")


def _log_of(path: Path) -> int:
    """The size of SQLite's write-ahead log beside a store, which alone may hold what was written."""
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.is_file() else 0
