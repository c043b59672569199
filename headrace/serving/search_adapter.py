"""An adapter of the embed task, open: questions and passages -> vectors, and how they are ranked.

Passages go through the base as it is and questions through the adapter's delta, so a new adapter on the same
base embeds no passage again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.errors import ArtifactError
from headrace.knowledge.index import Vectors
from headrace.knowledge.rerank import RERANK_FILE, Reranker
from headrace.models.tasks.embed import sentences
from headrace.records import Adapter, Passage
from headrace.serving.deltas import DeltaBank
from headrace.serving.encoder import FILES, Encoder, read_file
from headrace.serving.engine import Engine
from headrace.serving.loader import DELTA_FILES, Files, Source
from headrace.serving.vectors import Vectors as Kept
from headrace.store import Store

Floats = NDArray[np.float32]
FOLDER = "vectors"
"""Where the vectors of passages are kept, beside the artifacts."""


class SearchAdapter:
    """An open adapter; `folder` is where vectors of passages are kept. `vectors` is for one thread at a time."""

    def __init__(
        self, adapter: str, files: Files, digests: Mapping[str, str], folder: Path, *, threads: int = 1
    ) -> None:
        """Raises ArtifactError where a file is missing or damaged."""
        absent = [name for name in (RERANK_FILE, *FILES) if name not in files]
        if absent:
            raise ArtifactError(f"{', '.join(absent)} missing.", where=f"adapter {adapter}")
        source = Source(adapter, files, digests, shared=True)
        source.refuse_damaged(files=(RERANK_FILE, *DELTA_FILES, *FILES))
        self.adapter = adapter
        self.reranker = Reranker.from_json(json.loads(read_file(files, RERANK_FILE)))
        self._encoder, delta = Encoder.open(files, threads), source.delta()
        self._bank = None
        if delta is not None:
            rank = max(len(a) for a, _ in delta.factors.values())
            self._bank = DeltaBank(self._encoder.graph.sites, rank, 2)
            self._bank.put(delta)
        said = "\x1f".join(digests[name] for name in FILES)
        self.space = hashlib.sha256(said.encode()).hexdigest()[:24]
        self._kept = Kept(folder / self.space, self.plain)

    def questions(self, texts: Sequence[str]) -> Floats:
        """[n, d] float32 of norm 1, through the delta."""
        rows = [0 if self._bank is None else 1] * len(texts)
        return self._encoder.encode(texts, deltas=self._bank, rows=rows).embeddings

    def plain(self, texts: Sequence[str]) -> Floats:
        """[n, d] float32 of norm 1, by the base alone."""
        return self._encoder.encode(texts).embeddings

    def vectors(self, passages: Sequence[Passage]) -> Vectors:
        """What passages mean; raises StoreFull or StoreError where they cannot be kept."""
        parts = [sentences(passage.text) or [passage.text] for passage in passages]
        starts = np.cumsum([0, *map(len, parts)])[:-1].astype(np.int64)
        flat = [part for some in parts for part in some]
        titles = [passage.title for passage in passages if passage.title]
        whole = [passage.text for passage in passages]
        found = self._kept.of([*whole, *flat, *titles])
        headings = np.zeros((len(passages), found.shape[1] if found.ndim == 2 else 0), np.float32)
        headings[[bool(passage.title) for passage in passages]] = found[len(whole) + len(flat) :]
        return Vectors(found[: len(whole)], found[len(whole) : len(whole) + len(flat)], starts, headings)


def opened(store: Store, adapter: Adapter, *, threads: int = 1) -> SearchAdapter:
    """An adapter of the embed task from the store; raises ArtifactError where a file is missing or damaged."""
    paths = {file: store.artifacts.path(digest) for file, digest in adapter.files.items()}
    return SearchAdapter(adapter.id, paths, adapter.files, store.artifacts.folder / FOLDER, threads=threads)


def embeddings(store: Store, engine: Engine, adapter: Adapter, texts: Sequence[str]) -> Floats:
    """[n, d] of questions as an adapter of any task reads them; raises ArtifactError."""
    if RERANK_FILE in adapter.files:
        return opened(store, adapter).questions(texts)
    files = {name: store.artifacts.path(digest) for name, digest in adapter.files.items()}
    return engine.trial(files, texts, digests=adapter.files)[0]
