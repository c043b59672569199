"""Texts -> embeddings with an exported graph and its tokenizer; rows are run in groups of like length."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from headrace.errors import ArtifactError
from headrace.models.base import tokenise
from headrace.serving.deltas import DeltaBank, Site
from headrace.serving.graph import Graph, Tokens
from headrace.serving.weights import Array

FILES = ("graph.onnx", "tokenizer.json", "base.json")
STRETCH = 1.15  # longest over shortest row of a group: padding then costs less than a smaller batch


@dataclass(frozen=True, slots=True)
class Encoded:
    """`embeddings` float32 [n, d], each of length 1; `token_ids` as the base read them, special ones too."""

    embeddings: Array
    token_ids: list[Tokens]


@dataclass(frozen=True, slots=True)
class Settings:
    """What base.json says of a graph: the text's prefix, tokens read at most, width, sites open to deltas."""

    prefix: str
    pooling: str
    longest: int
    hidden: int
    sites: tuple[Site, ...]
    precision: str
    fingerprint: str


class Encoder:
    """One base, ready to read texts; safe to call from several threads."""

    def __init__(self, graph: Graph, tokenizer: Tokenizer, settings: Settings, *, threads: int = 1) -> None:
        self.graph, self.settings = graph, settings
        self._tokenizer, self._threads = tokenizer, threads
        tokenizer.no_padding()
        tokenizer.enable_truncation(settings.longest)

    @classmethod
    def open(
        cls, files: Mapping[str, Path | bytes], threads: int = 1, *, graph: Graph | None = None
    ) -> Encoder:
        """The encoder in "graph.onnx", "tokenizer.json" and "base.json"; `graph` where it is open already.

        Raises ArtifactError where one of them is missing or damaged.
        """
        absent = [name for name in FILES if name not in files]
        if absent:
            raise ArtifactError(f"{', '.join(absent)} missing: the adapter was stored without its base.")
        settings = _settings(read_file(files, "base.json"))
        tokenizer = _tokenizer(read_file(files, "tokenizer.json"))
        return cls(graph or Graph(files["graph.onnx"], threads=threads), tokenizer, settings, threads=threads)

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""
        return int(self._tokenizer.get_vocab_size())

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """The token ids of each text, prefix and special tokens included, cut at the longest allowed."""
        # A lone surrogate (JSON's "\ud800") is no text to the tokenizer; it reads as "?" instead.
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        # One at a time stays on this thread: a batch would spread over every core.
        parts = [whole] if self._threads > 1 else [[text] for text in whole]
        return [ids for part in parts for ids in tokenise(self._tokenizer, part, self.settings.prefix)]

    def encode(
        self,
        texts: Sequence[str],
        *,
        batch: int = 32,
        deltas: DeltaBank | None = None,
        rows: Sequence[int] | None = None,
    ) -> Encoded:
        """Embeddings and token ids of `texts`, at most `batch` rows at once.

        `rows` [n] picks each text's delta in `deltas` (0: none). An embedding does not depend on other rows.
        """
        ids = self.tokenize(texts)
        return Encoded(self.embed(ids, batch=batch, deltas=deltas, rows=rows), ids)

    def embed(
        self,
        ids: Sequence[Tokens],
        *,
        batch: int = 32,
        deltas: DeltaBank | None = None,
        rows: Sequence[int] | None = None,
    ) -> Array:
        """Embeddings [n, d] of token lists, as `encode` gives them for their texts."""
        picks = np.zeros(len(ids), np.int64) if rows is None else np.asarray(rows, np.int64)
        embeddings = np.empty((len(ids), self.settings.hidden), np.float32)
        for group in length_groups([len(i) for i in ids], batch):
            embeddings[group] = self.graph.run([ids[i] for i in group], picks[group], deltas)
        return embeddings


def length_groups(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Indices in groups of at most `batch` whose longest is at most `STRETCH` times the shortest."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) == batch or lengths[index] > STRETCH * lengths[group[0]]):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _settings(content: bytes) -> Settings:
    try:
        found = json.loads(content)
        sites = tuple((int(layer), str(module)) for layer, module in found.pop("sites"))
        return Settings(sites=sites, **found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError(f"base.json cannot be read: {error}.") from error


def _tokenizer(content: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:  # tokenizers raises bare Exception
        raise ArtifactError(f"tokenizer.json cannot be read: {error}.") from error


def read_file(files: Mapping[str, Path | bytes], name: str) -> bytes:
    """The content of a file that is bytes already or stands at a path; raises ArtifactError."""
    file = files[name]
    if isinstance(file, bytes):
        return file
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{name} cannot be read: {error.strerror}.") from error
