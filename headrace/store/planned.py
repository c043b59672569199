"""Turns that run by themselves: a note in the project's folder by whoever runs them, for `headrace status`.

A lock beside the note says whether that process still lives; so at most one runs the turns of a folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from headrace.errors import StoreBusy
from headrace.store.failures import disk_errors

NOTE, LOCK = ".turns.json", ".turns.lock"
_PATIENCE = 0.5  # seconds: who only looks holds the lock for less


@dataclass(frozen=True, slots=True)
class Planned:
    """Turns every `every` seconds: the `next` one, or when the one under way `began`.

    `failures` counts those that failed since the last one that did not.
    """

    every: float
    next: datetime | None
    began: datetime | None = None
    failures: int = 0


@contextmanager
def planning(folder: Path) -> Iterator[None]:
    """Be the one that runs the turns of `folder`; raises StoreBusy where another process is."""
    lock = FileLock(folder / LOCK, timeout=_PATIENCE)
    with disk_errors(str(folder)):
        try:
            lock.acquire()
        except Timeout:
            raise StoreBusy(
                "another server runs the turns of this project.", cure="Serve here without --turn-every."
            ) from None
    try:
        yield
    finally:
        (folder / NOTE).unlink(missing_ok=True)
        lock.release()


def write(folder: Path, planned: Planned) -> None:
    """Leave the note, all of it or nothing; raises StoreError."""
    found = {
        "every": planned.every,
        "next": planned.next and planned.next.isoformat(),
        "began": planned.began and planned.began.isoformat(),
        "failures": planned.failures,
    }
    scratch = folder / f"{NOTE}.{os.getpid()}"
    with disk_errors(str(folder / NOTE)):
        scratch.write_text(json.dumps(found), encoding="utf-8")
        os.replace(scratch, folder / NOTE)


def read(folder: Path) -> Planned | None:
    """The note of the process that runs the turns; None where none does."""
    if not (folder / NOTE).is_file() or not _held(folder):
        return None
    try:
        found = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return Planned(
            float(found["every"]), _moment(found["next"]), _moment(found["began"]), int(found["failures"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it ended this moment, or somebody wrote into it: nothing is planned that we know of


def _held(folder: Path) -> bool:
    """Whether another process holds the lock."""
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # a folder that may only be read


def _moment(found: str | None) -> datetime | None:
    return None if found is None else datetime.fromisoformat(found)
