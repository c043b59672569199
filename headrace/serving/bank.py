"""What serves at one moment: an immutable snapshot, so that a swap is one assignment between two batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.models.adapter import Head
from headrace.models.delta import Delta
from headrace.serving.encoder import Encoder
from headrace.serving.graph import DeltaBank
from headrace.serving.router import Router

EncoderKey = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Loaded:
    """One adapter in memory, whatever the number of channels on it; `base` is the key of its encoder."""

    adapter: str
    head: Head
    base: EncoderKey
    encoder: Encoder
    delta: Delta | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What answers one (task, channel): a release, its adapter and, where there is one, its delta's row."""

    release: str
    loaded: Loaded
    deltas: DeltaBank | None = None

    @property
    def row(self) -> int:
        """The adapter's row in `deltas`; 0 is no delta."""
        return self.deltas.row(self.loaded.adapter) if self.deltas else 0


@dataclass(frozen=True)
class Bank:
    """All that serves: adapters by id, their deltas stacked per base, the router that picks among them."""

    router: Router = field(default_factory=Router)
    adapters: Mapping[str, Loaded] = field(default_factory=dict)
    deltas: Mapping[EncoderKey, DeltaBank] = field(default_factory=dict)

    @classmethod
    def of(cls, router: Router, adapters: Mapping[str, Loaded], previous: Bank | None = None) -> Bank:
        """A snapshot; stacked deltas are taken from `previous` where the same adapters have them."""
        known = previous.deltas if previous else {}
        groups: dict[EncoderKey, dict[str, Loaded]] = {}
        for name, loaded in sorted(adapters.items()):
            if loaded.delta:
                groups.setdefault(loaded.base, {})[name] = loaded
        return cls(router, dict(adapters), {base: _stack(known.get(base), g) for base, g in groups.items()})

    def find(self, task: str, channel: str) -> Served:
        """What answers (task, channel); raises NotServed where nothing does yet."""
        release = self.router.route(task, channel)
        loaded = self.adapters[release.adapter]
        return Served(release.id, loaded, self.deltas.get(loaded.base) if loaded.delta else None)

    def encoders(self) -> dict[EncoderKey, Encoder]:
        """The open encoders, each once."""
        return {loaded.base: loaded.encoder for loaded in self.adapters.values()}


def _stack(known: DeltaBank | None, group: Mapping[str, Loaded]) -> DeltaBank:
    if known and known.adapters == tuple(group):
        return known
    deltas = {name: loaded.delta for name, loaded in group.items() if loaded.delta}
    return DeltaBank(deltas, next(iter(group.values())).encoder.graph.sites)
