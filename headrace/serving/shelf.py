"""The adapters in memory, up to a limit; the least recently used make room and come back when asked for.

An adapter is read, checked and packed once. Where it has to make room, the bytes of its head go as they are
to a spool file, and come back in one read. What a batch under way works with stays in memory until the batch
ends, whatever the limit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import ArtifactError
from headrace.models.delta import Delta
from headrace.serving.arena import Arena
from headrace.serving.deltas import DeltaBank
from headrace.serving.encoder import FILES, Encoder
from headrace.serving.heads import Heads, Outline, PackedHead
from headrace.serving.loader import DELTA_FILES, Source, refuse_misfits
from headrace.serving.spool import Spool

EncoderKey = tuple[str, ...]
LIMIT = 1 << 30
"""Bytes of adapters in memory, unless said otherwise."""


class Slot:
    """A row of a bank of deltas, free again when nobody refers to it."""

    __slots__ = ("bank", "row")

    def __init__(self, bank: DeltaBank, delta: Delta) -> None:
        self.bank, self.row = bank, bank.put(delta)

    def __del__(self) -> None:
        if hasattr(self, "row"):
            self.bank.free(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """One adapter in memory, whatever the number of channels on it; `base` is the key of its encoder."""

    adapter: str
    head: PackedHead
    base: EncoderKey
    encoder: Encoder
    slot: Slot | None = None

    @property
    def row(self) -> int:
        """Its row in the bank of its slot; 0, no delta, without one."""
        return self.slot.row if self.slot else 0

    @property
    def bytes(self) -> int:
        """What it takes of the limit."""
        return self.head.extent.size + (self.slot.bank.slot_bytes if self.slot else 0)


class Shelf:
    """Adapters by id, at most `limit` bytes of them in memory. Safe from several threads."""

    def __init__(self, *, limit: int = LIMIT, threads: int = 1, folder: Path | None = None) -> None:
        """`folder` is where the spool file lies; the system's temporary folder by default."""
        self.limit, self._threads, self._folder = limit, threads, folder
        # Far more addresses than the limit: batches under way hold some on top, and gaps must not matter.
        self.heads = Heads(Arena(4 * limit + (64 << 20)))
        self.encoders: dict[EncoderKey, Encoder] = {}
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._bytes = 0
        self._outlines: dict[str, Outline] = {}
        self._spool: Spool | None = None
        self._deltas: dict[tuple[EncoderKey, int], DeltaBank] = {}
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def __contains__(self, adapter: str) -> bool:
        return adapter in self._loaded

    @property
    def bytes(self) -> int:
        """Bytes of the adapters in memory."""
        return self._bytes

    def get(self, adapter: str) -> Loaded | None:
        """An adapter that is in memory, now the most recently used."""
        with self._lock:
            found = self._loaded.get(adapter)
            if found is not None:
                self._loaded.move_to_end(adapter)
            return found

    def fetch(self, source: Source) -> Loaded:
        """An adapter, brought into memory where it is not; others make room. Raises ArtifactError."""
        with self._loading:
            found = self.get(source.adapter)
            if found is None:
                found = self._opened(source)
                with self._lock:
                    self._loaded[source.adapter] = found
                    self._bytes += found.bytes
                while self._bytes > self.limit and len(self._loaded) > 1:
                    self._put_aside()
            return found

    def warm(self, sources: Iterable[Source]) -> None:
        """Bring adapters into memory as long as there is room for them. Raises ArtifactError."""
        for source in sources:
            source.refuse_incomplete()
            if source.adapter not in self._loaded and self._bytes < self.limit:
                self.fetch(source)

    def keep(self, sources: Mapping[str, Source]) -> None:
        """Let go of all other adapters, and of bases that none of these needs."""
        with self._loading, self._lock:
            for adapter in self._loaded.keys() - sources.keys():
                self._bytes -= self._loaded.pop(adapter).bytes
            if self._spool is not None:
                self._spool.keep(sources.keys())
                self._outlines = {name: self._outlines[name] for name in self._spool.names}
            if len(self.encoders) > 1:
                needed = {_key(source) for source in sources.values()}
                self.encoders = {key: self.encoders[key] for key in self.encoders.keys() & needed}
                self._deltas = {place: bank for place, bank in self._deltas.items() if place[0] in needed}

    def drop(self, adapters: Iterable[str]) -> None:
        """Let go of these, where they are in memory."""
        with self._lock:
            for adapter in adapters:
                found = self._loaded.pop(adapter, None)
                self._bytes -= found.bytes if found else 0

    def open(self, source: Source) -> Loaded:
        """An adapter beside the shelf: it counts for no limit and ends with its last user."""
        with self._loading:
            return self._opened(source)

    def _opened(self, source: Source) -> Loaded:
        try:
            source.refuse_incomplete()
            key = _key(source)
            if source.adapter in self._outlines:
                return self._spooled(source, key)
            return self._read(source, key)
        except ArtifactError as error:
            raise ArtifactError(error.what, where=f"adapter {source.adapter}", cure=error.cure) from error

    def _read(self, source: Source, key: EncoderKey) -> Loaded:
        source.refuse_damaged({digest for known in self.encoders for digest in known})
        encoder, head, delta = self._encoder(source, key), source.head(), source.delta()
        refuse_misfits(head, delta, encoder)
        return Loaded(source.adapter, self.heads.pack(head), key, encoder, self._slot(key, encoder, delta))

    def _spooled(self, source: Source, key: EncoderKey) -> Loaded:
        """What was read and checked before: the head from the spool, the delta from its files, checked again."""
        source.refuse_damaged(files=DELTA_FILES)
        encoder, outline = self._encoder(source, key), self._outlines[source.adapter]
        extent = self.heads.arena.take(outline.size)
        if self._spool is None or not self._spool.read_into(source.adapter, extent.memory):
            return self._read(source, key)
        slot = self._slot(key, encoder, source.delta())
        return Loaded(source.adapter, PackedHead(outline, extent), key, encoder, slot)

    def _put_aside(self) -> None:
        """Let the least recently used adapter make room; without room on disk it is read anew next time."""
        with self._lock:
            adapter, loaded = self._loaded.popitem(last=False)
            self._bytes -= loaded.bytes
        self._spool = self._spool or Spool(self._folder)
        if self._spool.put(adapter, loaded.head.extent.memory):
            self._outlines[adapter] = loaded.head.outline

    def _encoder(self, source: Source, key: EncoderKey) -> Encoder:
        if key not in self.encoders:
            # Tasks that differ in prefix or longest only share the graph, which is nearly all the memory.
            same = (e.graph for known, e in self.encoders.items() if known[0] == key[0])
            self.encoders[key] = Encoder.open(source.files, self._threads, graph=next(same, None))
        return self.encoders[key]

    def _slot(self, key: EncoderKey, encoder: Encoder, delta: Delta | None) -> Slot | None:
        if delta is None:
            return None
        place = (key, max(len(a) for a, _ in delta.factors.values()))
        if place not in self._deltas:
            self._deltas[place] = _bank(encoder, place[1], self.limit)
        return Slot(self._deltas[place], delta)


def _key(source: Source) -> EncoderKey:
    return tuple(source.digests[file] for file in FILES)


def _bank(encoder: Encoder, rank: int, limit: int) -> DeltaBank:
    """Room for twice the limit: what batches under way hold comes on top."""
    sites = encoder.graph.sites
    each = sum(4 * rank * (width + out) for width, out in sites.values())
    return DeltaBank(sites, rank, 2 * limit // each + 64)
