"""Adapter files -> what is in them, checked: every byte against its digest, and the parts against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import ArtifactError
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.delta import CONFIG_FILE, WEIGHTS_FILE, Delta
from headrace.serving.deltas import Site
from headrace.serving.encoder import FILES, Encoder, read_file

Files = Mapping[str, Path | bytes]
DELTA_FILES = frozenset((CONFIG_FILE, WEIGHTS_FILE))
_OPENED = frozenset((HEAD_FILE, *DELTA_FILES, *FILES))


@dataclass(frozen=True, slots=True)
class Source:
    """Where an adapter's files are, and the SHA-256 that each must have; `shared` says for all channels."""

    adapter: str
    files: Files
    digests: Mapping[str, str]
    shared: bool = False

    def refuse_incomplete(self) -> None:
        """Raise ArtifactError where a file that every adapter has is not among them."""
        absent = [file for file in (HEAD_FILE, *FILES) if file not in self.files]
        if absent:
            raise ArtifactError(f"{', '.join(absent)} missing.", where=f"adapter {self.adapter}")

    def refuse_damaged(self, known: Collection[str] = (), files: Collection[str] = _OPENED) -> None:
        """Raise ArtifactError where one of `files` has changed: it would answer, only wrongly.

        `known` are digests of files that are open already.
        """
        for file, digest in self.digests.items():
            if file in files and digest not in known and digest_of(self.files, file) != digest:
                raise ArtifactError(
                    f"{file} is damaged.",
                    where=f"adapter {self.adapter}",
                    cure="Train again, or restore a backup: headrace restore BACKUP",
                )

    def delta(self) -> Delta | None:
        """The delta in the files, where there is one; raises ArtifactError."""
        names = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if name in self.files]
        return Delta.from_files({name: read_file(self.files, name) for name in names}) if names else None

    def head(self) -> Head:
        """The head in the files; raises ArtifactError."""
        return Head.from_bytes(read_file(self.files, HEAD_FILE))


def digests_of(files: Files) -> dict[str, str]:
    """The SHA-256 of each file, in hex."""
    return {name: digest_of(files, name) for name in files}


def digest_of(files: Files, name: str) -> str:
    """The SHA-256 of one file, in hex; raises ArtifactError where it cannot be read."""
    file = files[name]
    if isinstance(file, bytes):
        return hashlib.sha256(file).hexdigest()
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{name} cannot be read: {error.strerror}.") from error


def refuse_misfits(head: Head, delta: Delta | None, encoder: Encoder) -> None:
    """Raise ArtifactError where the parts of an adapter do not fit each other."""
    settings, wrong = encoder.settings, ""
    if head.base not in ("", settings.fingerprint) or head.dense.shape[0] != settings.hidden:
        wrong = "its head was trained on another base than its graph holds."
    elif head.delta != (delta is not None):
        wrong = "its head was trained with a delta that is not there, or without the one that is."
    elif delta and not _fits(delta, encoder.graph.sites):
        wrong = "its graph does not take its delta."
    if wrong:
        raise ArtifactError(wrong, cure="Train and store it again.")


def _fits(delta: Delta, sites: Mapping[Site, tuple[int, int]]) -> bool:
    return all(sites.get(site) == (a.shape[1], b.shape[0]) for site, (a, b) in delta.factors.items())
