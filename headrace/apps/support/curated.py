"""The owner's curated answers by intent, as one channel may give them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.records import Passage
from headrace.store import Store


@dataclass(frozen=True, slots=True)
class _Seen:
    """The curated passages of a version of the store, by channel and intent."""

    version: object = None
    by: dict[str, Mapping[str, list[Passage]]] = field(default_factory=dict)


class Curated:
    """Looks answers up; what the store holds is read again only where it changed. Safe from several threads."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock, self._seen = store, threading.Lock(), _Seen()

    def answer(self, channel: str, intent: str, language: str) -> Passage | None:
        """The answer to an intent: in this language before another, the channel's own before that of all."""
        known = self._of(channel).get(intent, [])
        order = [(p.language != language, p.channel is None, n) for n, p in enumerate(known)]
        return known[order.index(min(order))] if known else None

    def twin(self, passage: Passage, channel: str, language: str) -> Passage:
        """The same answer in this language where the owner wrote it, else the passage itself."""
        if passage.intent is None or passage.language == language:
            return passage
        found = self.answer(channel, passage.intent, language)
        return found if found is not None and found.language == language else passage

    def _of(self, channel: str) -> Mapping[str, list[Passage]]:
        version = self._store.documents.version()
        with self._lock:
            if self._seen.version != version:
                self._seen = _Seen(version)
            if channel not in self._seen.by:
                self._seen.by[channel] = self._read(channel)
            return self._seen.by[channel]

    def _read(self, channel: str) -> Mapping[str, list[Passage]]:
        found: dict[str, list[Passage]] = {}
        for passage in self._store.documents.passages(channel):
            if passage.curated and passage.intent is not None:
                found.setdefault(passage.intent, []).append(passage)
        return found
