"""Adapter files -> a bank. What the bank before it had open is used again: bases, heads and deltas alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from headrace.errors import ArtifactError
from headrace.models.adapter import HEAD_FILE, Head
from headrace.models.delta import CONFIG_FILE, WEIGHTS_FILE, Delta
from headrace.records import Adapter, Release
from headrace.serving.bank import Bank, EncoderKey, Loaded
from headrace.serving.encoder import FILES, Encoder, read_file
from headrace.serving.export import Site
from headrace.serving.router import Router

Files = Mapping[str, Path | bytes]


def load_bank(
    releases: Iterable[Release],
    adapters: Iterable[Adapter],
    artifact_path: Callable[[str], Path],
    previous: Bank | None = None,
    *,
    threads: int = 1,
) -> Bank:
    """The bank that serves `releases`; `artifact_path` finds a file by its SHA-256.

    Raises ArtifactError, and changes nothing, where an adapter that is to serve lacks a record or a file.
    """
    records = {adapter.id: adapter for adapter in adapters}
    shared = {adapter.id for adapter in records.values() if adapter.channel is None}
    router = Router.of(releases, shared)
    shelf = Shelf(previous.encoders() if previous else {}, threads=threads)
    loaded = dict(previous.adapters) if previous else {}
    for name in router.serving() - loaded.keys():
        if name not in records:
            raise ArtifactError(f"adapter {name} is released and has no record.")
        files = records[name].files
        paths = {file: artifact_path(digest) for file, digest in files.items()}
        _check_whole(name, paths, files, shelf.opened)
        loaded[name] = shelf.adapter(name, paths, files)
    return Bank.of(router, {name: loaded[name] for name in sorted(router.serving())}, previous)


class Shelf:
    """Open encoders by the digests of their files, so that a base is in memory once."""

    def __init__(self, encoders: Mapping[EncoderKey, Encoder] | None = None, *, threads: int = 1) -> None:
        self._encoders, self._threads = dict(encoders or {}), threads

    @property
    def opened(self) -> set[str]:
        """The digests of the files that are open already."""
        return {digest for key in self._encoders for digest in key}

    def adapter(self, name: str, files: Files, digests: Mapping[str, str]) -> Loaded:
        """The adapter in `files`, of which `digests` has the SHA-256 each; raises ArtifactError."""
        absent = [file for file in (HEAD_FILE, *FILES) if file not in files]
        if absent:
            raise ArtifactError(f"{', '.join(absent)} missing.", where=f"adapter {name}")
        try:
            key, encoder = self._encoder(files, digests)
            loaded = Loaded(name, Head.from_bytes(read_file(files, HEAD_FILE)), key, encoder, _delta(files))
        except ArtifactError as error:
            raise ArtifactError(error.what, where=f"adapter {name}", cure=error.cure) from error
        _check(loaded)
        return loaded

    def _encoder(self, files: Files, digests: Mapping[str, str]) -> tuple[EncoderKey, Encoder]:
        key = tuple(digests[file] for file in FILES)
        if key not in self._encoders:
            # Tasks that differ in prefix or longest only share the graph, which is nearly all the memory.
            same = (e.graph for known, e in self._encoders.items() if known[0] == key[0])
            self._encoders[key] = Encoder.open(files, self._threads, graph=next(same, None))
        return key, self._encoders[key]


def _check_whole(name: str, files: Files, digests: Mapping[str, str], opened: Collection[str]) -> None:
    """Raise ArtifactError where a file is not what it was: a changed bit would answer, only wrongly."""
    for file, digest in digests.items():
        if digest not in opened and _digest(files, file) != digest:
            raise ArtifactError(
                f"{file} is damaged.",
                where=f"adapter {name}",
                cure="Train again, or restore a backup: headrace restore BACKUP",
            )


def digests_of(files: Files) -> dict[str, str]:
    """The SHA-256 of each file, in hex."""
    return {name: _digest(files, name) for name in files}


def _digest(files: Files, name: str) -> str:
    file = files[name]
    if isinstance(file, bytes):
        return hashlib.sha256(file).hexdigest()
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{name} cannot be read: {error.strerror}.") from error


def _delta(files: Files) -> Delta | None:
    present = {name: read_file(files, name) for name in (CONFIG_FILE, WEIGHTS_FILE) if name in files}
    return Delta.from_files(present) if present else None


def _check(loaded: Loaded) -> None:
    """Refuse an adapter whose parts do not fit each other."""
    head, settings = loaded.head, loaded.encoder.settings
    wrong = ""
    if head.base not in ("", settings.fingerprint) or head.dense.shape[0] != settings.hidden:
        wrong = "its head was trained on another base than its graph holds."
    elif head.delta != (loaded.delta is not None):
        wrong = "its head was trained with a delta that is not there, or without the one that is."
    elif loaded.delta and not _fits(loaded.delta, loaded.encoder.graph.sites):
        wrong = "its graph does not take its delta."
    if wrong:
        raise ArtifactError(wrong, where=f"adapter {loaded.adapter}", cure="Train and store it again.")


def _fits(delta: Delta, sites: Mapping[Site, tuple[int, int]]) -> bool:
    return all(sites.get(site) == (a.shape[1], b.shape[0]) for site, (a, b) in delta.factors.items())
