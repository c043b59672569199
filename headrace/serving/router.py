"""Which release serves whom: a channel's own, else its task's shared adapter, else "not yet"."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from headrace.errors import NotServed
from headrace.records import Release


@dataclass(frozen=True)
class Router:
    """`own` is the newest release per (task, channel), `shared` the newest of a shared adapter per task.

    Evidence is left out of the releases: it is for people, and of a thousand channels it would fill megabytes.
    """

    own: Mapping[tuple[str, str], Release] = field(default_factory=dict)
    shared: Mapping[str, Release] = field(default_factory=dict)

    @classmethod
    def of(cls, releases: Iterable[Release], shared_adapters: Container[str]) -> Router:
        """A router over a history of releases, oldest first."""
        return cls().after(releases, shared_adapters)

    def after(self, releases: Iterable[Release], shared_adapters: Container[str]) -> Router:
        """The router that this one becomes by further releases, in the order in which they were made.

        What the clock said then does not count: it may have been set back.
        """
        own, shared = dict(self.own), dict(self.shared)
        for release in releases:
            slim = replace(release, evidence={})
            own[release.task, release.channel] = slim
            if release.adapter in shared_adapters:
                shared[release.task] = slim
        return Router(own, shared)

    def route(self, task: str, channel: str) -> Release:
        """What serves (task, channel); raises NotServed where nothing does yet."""
        found = self.own.get((task, channel)) or self.shared.get(task)
        if found is None:
            raise NotServed(
                f"no adapter answers {task!r} for channel {channel!r} yet.",
                cure="It begins with the first release: headrace turn",
            )
        return found

    def serving(self) -> set[str]:
        """The ids of all adapters that a request can reach."""
        return {release.adapter for release in (*self.own.values(), *self.shared.values())}
