"""Files that never change, named by the SHA-256 of their content.

Written in a folder of unfinished files, synced, renamed, and every folder above synced: after a crash a name
either holds all of its bytes or does not exist. What a killed process leaves unfinished is swept an hour
later, when a store is opened.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import ArtifactError
from headrace.store.failures import disk_errors

UNFINISHED = ".unfinished"
ABANDONED_AFTER = 3600.0  # seconds; no file takes that long to write
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Artifacts:
    """A folder of content-addressed files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, content: bytes) -> str:
        """Store `content` and return its digest; durable when this returns, and the same content is one file.

        A file that lost its bytes is written anew. Raises StoreFull where no space is left, StoreError.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        with disk_errors(str(self.folder)):
            if not _holds(path, len(content), digest):
                self._write(path, content)
            # Also where the file was there: whoever renamed it may have died before its name was durable.
            for folder in (path.parent, self.folder, self.folder.parent):
                sync_folder(folder)
        return digest

    def path(self, digest: str) -> Path:
        """Where the content of `digest` stands; raises ArtifactError where it does not."""
        path = self._path(digest)
        if not path.is_file():
            raise self._error(digest, "missing")
        return path

    def get(self, digest: str) -> bytes:
        """The content of `digest`; raises ArtifactError where it is missing or damaged."""
        path = self.path(digest)
        with disk_errors(str(self.folder)):
            content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise self._error(digest, "damaged")
        return content

    def sweep(self, now: float) -> int:
        """Remove what killed processes left an hour before `now` (seconds since 1970); says how many."""
        folder = self.folder / UNFINISHED
        if not os.access(folder, os.W_OK):
            return 0
        with disk_errors(str(self.folder)):
            old = [path for path in folder.iterdir() if _modified(path) < now - ABANDONED_AFTER]
            for path in old:
                path.unlink(missing_ok=True)
        return len(old)

    def remove(self, digest: str) -> bool:
        """Delete the content of `digest` for good; durable when this returns. Says whether it was there."""
        path = self._path(digest)
        with disk_errors(str(self.folder)):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            sync_folder(path.parent)
        return True

    def __iter__(self) -> Iterator[str]:
        if self.folder.is_dir():
            for path in sorted(self.folder.glob("??/*")):
                if _DIGEST.fullmatch(path.name):
                    yield path.name

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ArtifactError(f"{digest[:80]!r} is not the name of an artifact.")
        return self.folder / digest[:2] / digest

    def _write(self, path: Path, content: bytes) -> None:
        unfinished = self.folder / UNFINISHED / f"{path.name}.{os.urandom(8).hex()}"
        for folder in (unfinished.parent, path.parent):
            os.makedirs(folder, exist_ok=True)
        try:
            write_synced(unfinished, content)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _error(self, digest: str, how: str) -> ArtifactError:
        return ArtifactError(
            f"the artifact {digest[:12]} is {how}.",
            where=str(self.folder),
            cure="Train again, or restore a backup: headrace restore BACKUP",
        )


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file, its bytes on disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _holds(path: Path, size: int, digest: str) -> bool:
    """Whether the file is there with all of its bytes."""
    try:
        with open(path, "rb") as file:
            whole = os.fstat(file.fileno()).st_size == size
            return whole and hashlib.file_digest(file, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return False


def _modified(path: Path) -> float:
    """When it was written last; now or later where it is gone already."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
