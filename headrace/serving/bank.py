"""What serves at one moment: an immutable snapshot, so that a swap is one assignment between two batches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from headrace.errors import ArtifactError
from headrace.records import Release
from headrace.serving.loader import Source
from headrace.serving.router import Router
from headrace.serving.shelf import Loaded, Shelf


class HasFiles(Protocol):
    """An adapter's record, as far as serving reads it."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def channel(self) -> str | None:
        """Whose it is; None where it is shared."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """File name -> SHA-256."""
        ...


@dataclass(frozen=True)
class Bank:
    """Who is served by which release, and where its adapter is: on the shelf, or in the files of a source."""

    router: Router = field(default_factory=Router)
    sources: Mapping[str, Source] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)

    def find(self, task: str, channel: str) -> Release:
        """The release that answers (task, channel); raises NotServed where nothing does yet."""
        return self.router.route(task, channel)

    def absent(self, task: str, channel: str) -> str | None:
        """The adapter that must be fetched before (task, channel) is answered; None where it is in memory."""
        release = self.router.own.get((task, channel)) or self.router.shared.get(task)
        return None if release is None or release.adapter in self.shelf else release.adapter

    def load(self, adapter: str) -> Loaded:
        """An adapter, from memory where it is there. Raises ArtifactError."""
        return self.shelf.get(adapter) or self.shelf.fetch(self.sources[adapter])

    def after(
        self,
        releases: Iterable[Release],
        adapters: Iterable[HasFiles],
        artifact_path: Callable[[str], Path],
    ) -> Bank:
        """The bank that serves by further `releases`; adapters that are new here come from `adapters`.

        What is new is brought into memory while there is room. `artifact_path` finds a file by its SHA-256.
        Raises ArtifactError, and changes nothing, where an adapter that is to serve lacks a record or a file.
        """
        records = {adapter.id: adapter for adapter in adapters}
        shared = {name for name, source in self.sources.items() if source.shared}
        shared |= {adapter.id for adapter in records.values() if adapter.channel is None}
        router = self.router.after(releases, shared)
        serving = router.serving()
        fresh = _sources(sorted(serving - self.sources.keys()), records, artifact_path)
        self.shelf.warm(fresh.values())
        known = {name: source for name, source in self.sources.items() if name in serving}
        return Bank(router, known | fresh, self.shelf)


def _sources(
    names: Iterable[str], records: Mapping[str, HasFiles], artifact_path: Callable[[str], Path]
) -> dict[str, Source]:
    paths: dict[str, Path] = {}
    found: dict[str, Source] = {}
    for name in names:
        if name not in records:
            raise ArtifactError(f"adapter {name} is released and has no record.")
        # A thousand adapters name the same graph: its digest and its path are in memory once.
        digests = {sys.intern(file): sys.intern(digest) for file, digest in records[name].files.items()}
        paths |= {digest: artifact_path(digest) for digest in digests.values() if digest not in paths}
        files = {file: paths[digest] for file, digest in digests.items()}
        found[name] = Source(name, files, digests, shared=records[name].channel is None)
    return found
