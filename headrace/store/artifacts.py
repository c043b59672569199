"""Files that never change, named by the SHA-256 of their content.

Written under a temporary name, synced, renamed, and the folder synced: after a crash a name either holds all
of its bytes or does not exist.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import ArtifactError, StoreError, StoreFull

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Artifacts:
    """A folder of content-addressed files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, content: bytes) -> str:
        """Store `content` and return its digest; the same content twice is one file.

        Raises StoreFull where no space is left.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if not path.exists():
            try:
                _write(path, content)
            except OSError as error:
                raise _plain(error, self.folder) from error
        return digest

    def path(self, digest: str) -> Path:
        """Where the content of `digest` stands; raises ArtifactError where it does not."""
        path = self._path(digest)
        if not path.is_file():
            raise ArtifactError(
                f"the artifact {digest[:12]} is missing.",
                where=str(self.folder),
                cure="Restore a backup: headrace restore BACKUP",
            )
        return path

    def get(self, digest: str) -> bytes:
        """The content of `digest`; raises ArtifactError where it is missing or damaged."""
        content = self.path(digest).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ArtifactError(
                f"the artifact {digest[:12]} is damaged.",
                where=str(self.folder),
                cure="Restore a backup: headrace restore BACKUP",
            )
        return content

    def __iter__(self) -> Iterator[str]:
        if self.folder.is_dir():
            for path in sorted(self.folder.glob("??/*")):
                if _DIGEST.fullmatch(path.name):
                    yield path.name

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise ArtifactError(f"{digest[:80]!r} is not the name of an artifact.")
        return self.folder / digest[:2] / digest


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    sync_folder(path.parent.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(error: OSError, folder: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return StoreFull(
            "no space is left for an adapter's files.",
            where=str(folder),
            cure="Free some space and run it again.",
        )
    return StoreError(f"the file cannot be written: {error.strerror}.", where=str(folder))
