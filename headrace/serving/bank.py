"""What serves at one moment: an immutable snapshot, so that a swap is one assignment between two batches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from headrace.errors import ArtifactError
from headrace.records import Release
from headrace.serving.loader import Source
from headrace.serving.router import Router
from headrace.serving.shelf import Loaded, Shelf
from headrace.serving.trials import OpenTrial, Pair, by_pair, covering


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
    """Who is served by which release, and where its adapter is: on the shelf, or in the files of a source.

    `trials` are those open by (task, channel); `broken` says by trial why its challenger cannot answer.
    """

    router: Router = field(default_factory=Router)
    sources: Mapping[str, Source] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)
    trials: Mapping[Pair, tuple[OpenTrial, ...]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    def find(self, task: str, channel: str) -> Release:
        """The release that answers (task, channel); raises NotServed where nothing does yet."""
        return self.router.route(task, channel)

    def absent(self, task: str, channel: str) -> str | None:
        """The adapter that must be fetched before (task, channel) is answered; None where it is in memory."""
        release = self.router.own.get((task, channel)) or self.router.shared.get(task)
        return None if release is None or release.adapter in self.shelf else release.adapter

    def trial(self, task: str, channel: str, user: str, answer: str) -> OpenTrial | None:
        """The trial whose two adapters answer this question, where there is one."""
        found = self.trials.get((task, channel))
        return covering(found, user, answer) if found else None

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

    def trying(
        self,
        trials: Iterable[OpenTrial],
        known: Mapping[str, Source],
        adapters: Iterable[HasFiles],
        artifact_path: Callable[[str], Path],
    ) -> Bank:
        """The bank in which these trials, and no others, are open; `known` are sources of the bank before it.

        A trial whose champion does not serve its pair covers nothing: it is over, though nobody has written
        that down yet. One whose challenger lacks a record or a file, or is damaged, is named in `broken`.
        """
        records = {adapter.id: adapter for adapter in adapters}
        sources = {**known, **self.sources}
        broken, open_now = dict[str, str](), list[OpenTrial]()
        for trial in trials:
            release = self.router.own.get((trial.task, trial.channel))
            if release is None or release.adapter != trial.champion:
                continue
            try:
                fresh = _sources({trial.challenger} - sources.keys(), records, artifact_path)
                self.shelf.warm(fresh.values())
            except ArtifactError as error:
                broken[trial.id] = error.message
                continue
            sources |= fresh
            open_now.append(trial)
        needed = self.router.serving() | {trial.challenger for trial in open_now}
        kept = {name: source for name, source in sources.items() if name in needed}
        return replace(self, sources=kept, trials=by_pair(open_now), broken=broken)

    def without(self, adapter: str, why: str) -> Bank:
        """The bank in which a challenger takes part in no trial any more, because it cannot be loaded."""
        kept: list[OpenTrial] = []
        broken = dict(self.broken)
        for trial in (trial for its in self.trials.values() for trial in its):
            if trial.challenger == adapter:
                broken[trial.id] = why
            else:
                kept.append(trial)
        return replace(self, trials=by_pair(kept), broken=broken)

    def serves(self, adapter: str) -> bool:
        """Whether an adapter answers somebody outside trials."""
        return adapter in self.router.serving()


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
