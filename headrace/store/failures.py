"""What a database or a disk says when it fails -> an error that says what happened and the cure.

Codes decide, not words: the text of an error may quote what a user wrote. Words are asked only where a driver
gives no code, when a server cannot be reached.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from headrace.errors import StoreBusy, StoreError, StoreFull


class Plain(NamedTuple):
    """An error as a person reads it."""

    kind: type[StoreError]
    what: str
    cure: str


_RESTORE = "Restore it: headrace restore BACKUP"
_AGAIN = "Run it again."
_FULL = Plain(StoreFull, "no space is left for the store.", "Free some space and run it again.")
_LIMIT = Plain(
    StoreFull,
    "the disk took no more bytes for the store.",
    "Check free space and the limit of file sizes (ulimit -f), then run it again.",
)
_BUSY = Plain(StoreBusy, "another process is writing to the store.", "Wait for it to end and run it again.")
_READ_ONLY = Plain(
    StoreError, "the store may only be read.", "Give yourself the right to write there, or unlock the disk."
)
_CLOSED = Plain(StoreError, "the store cannot be opened.", "Check that the folder exists and is yours.")
_DISK = Plain(
    StoreError,
    "the disk failed while the store was used.",
    f"Check the disk and run it again; if it stays: {_RESTORE}",
)
_DAMAGED = Plain(StoreError, "the store is damaged.", _RESTORE)
_STRANGE = Plain(StoreError, "the file is not a database.", _RESTORE)
_MEMORY = Plain(StoreError, "memory ran out while the store was used.", f"Free some memory. {_AGAIN}")
_REFUSED = Plain(
    StoreError, "the database lets nobody in under this name.", "Correct `store:` in headrace.yaml."
)
_SILENT = Plain(StoreError, "the database does not answer.", "Start it, or correct `store:`.")

# The beginning of SQLite's name of an error, or of Postgres's SQLSTATE; the first that fits counts.
_BY_CODE: tuple[tuple[str, Plain], ...] = (
    ("SQLITE_FULL", _FULL),
    ("SQLITE_IOERR_WRITE", _LIMIT),
    ("SQLITE_IOERR_SHMSIZE", _LIMIT),
    ("SQLITE_IOERR_NOMEM", _MEMORY),
    ("SQLITE_IOERR", _DISK),
    ("SQLITE_BUSY", _BUSY),
    ("SQLITE_LOCKED", _BUSY),
    ("SQLITE_READONLY", _READ_ONLY),
    ("SQLITE_PERM", _READ_ONLY),
    ("SQLITE_CANTOPEN", _CLOSED),
    ("SQLITE_NOTADB", _STRANGE),
    ("SQLITE_CORRUPT", _DAMAGED),
    ("SQLITE_NOMEM", _MEMORY),
    ("53100", _FULL),
    ("53200", _MEMORY),
    ("53", _BUSY),
    ("55P03", _BUSY),
    ("40", _BUSY),
    ("57014", _BUSY),
    ("25006", _READ_ONLY),
    ("42501", _READ_ONLY),
    ("28", _REFUSED),
    ("3D000", Plain(StoreError, "there is no such database.", "Create it: createdb NAME")),
    ("42P01", Plain(StoreError, "the store lacks a table.", _RESTORE)),
    ("58", _DISK),
    ("XX001", _DAMAGED),
    ("XX002", _DAMAGED),
    ("08", _SILENT),
    ("57P", _SILENT),
)
_BY_WORDS: tuple[tuple[str, Plain], ...] = (
    ("no such table", Plain(StoreError, "the store lacks a table.", _RESTORE)),
    ("no space left", _FULL),
    ("password authentication", _REFUSED),
    ("does not exist", Plain(StoreError, "there is no such database or user.", "Correct `store:`.")),
    ("connection", _SILENT),
)
_BY_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _LIMIT,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EROFS: _READ_ONLY,
    errno.EIO: _DISK,
    errno.ENOMEM: _MEMORY,
}


@contextmanager
def database_errors(where: str) -> Iterator[None]:
    """Turn what a database raises inside the block into StoreError, StoreFull or StoreBusy.

    `where` is how the message names the store (no password).
    """
    try:
        yield
    except DBAPIError as error:
        raise _made(_of_database(error), where) from error
    except PoolTimeout as error:
        raise _made(_BUSY, where) from error
    except MemoryError as error:
        raise _made(_MEMORY, where) from error


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn what files raise inside the block into StoreError or StoreFull."""
    try:
        yield
    except OSError as error:
        raise _made(_of_disk(error), where) from error
    except MemoryError as error:
        raise _made(_MEMORY, where) from error


def _made(plain: Plain, where: str) -> StoreError:
    return plain.kind(plain.what, where=where, cure=plain.cure)


def _of_database(error: DBAPIError) -> Plain:
    code = str(getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or "")
    for begin, plain in _BY_CODE:
        if code.startswith(begin):
            return plain
    said = str(error.orig).lower()
    for words, plain in _BY_WORDS:
        if words in said:
            return plain
    return Plain(StoreError, f"the database refused: {error.orig}", "Run: headrace doctor")


def _of_disk(error: OSError) -> Plain:
    unknown = Plain(
        StoreError, f"a file of the store failed: {error.strerror or error}.", "Run: headrace doctor"
    )
    return _BY_ERRNO.get(error.errno or 0, unknown)
