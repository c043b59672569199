"""Processes that share a SQLite file take turns to write.

SQLite lets one writer in and has the others sleep for longer and longer between two tries; who waits for a
lock on a file is woken the moment that it is free.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file at `path`, made where there is none; a process that dies lets go of it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
