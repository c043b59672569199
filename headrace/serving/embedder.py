"""Texts -> vectors by a task's base as it is, without an adapter's delta: a release changes none of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from headrace.records import Adapter
from headrace.serving.encoder import FILES, Encoder
from headrace.serving.router import Router
from headrace.serving.weights import Array
from headrace.store import Store


class Embedder:
    """Embeds by the bases of what is released; each is read once. Safe from several threads."""

    def __init__(self, store: Store, *, threads: int = 1) -> None:
        self._store, self._threads = store, threads
        self._encoders: dict[tuple[str, ...], Encoder] = {}
        self._lock = threading.Lock()

    def embed(self, task: str, channel: str, texts: Sequence[str]) -> tuple[str, Array]:
        """The base's name, and [n, d] float32 of norm 1.

        Raises NotServed where nothing is released there yet, ArtifactError where a file is damaged.
        """
        adapter = self._serving(task, channel)
        return adapter.base, self._encoder(adapter).encode(texts).embeddings

    def _serving(self, task: str, channel: str) -> Adapter:
        """An adapter of the task, the channel's own first: all of them stand on the task's base."""
        current = [release for release in self._store.history.current() if release.task == task]
        router = Router.of(current, {release.adapter for release in current})
        return self._store.history.adapter(router.route(task, channel).adapter)

    def _encoder(self, adapter: Adapter) -> Encoder:
        digests = tuple(adapter.files.get(name, "") for name in FILES)
        with self._lock:
            if digests not in self._encoders:
                paths = {name: self._store.artifacts.path(digest) for name, digest in adapter.files.items()}
                self._encoders[digests] = Encoder.open(paths, self._threads)
            return self._encoders[digests]
