"""Channels by the thousand, for what does not depend on what an adapter has learned: time and memory.

A head is like a trained one: 8 bits, 20,000 word weights on some 8,000 keys that occur in the texts asked;
a delta is of rank 8. Each channel has numbers of its own, and the same seed gives the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from headrace.models.adapter import HEAD_FILE, Head, eight_bits
from headrace.models.base import BaseFolder, tokenise
from headrace.models.delta import MODULES, Delta
from headrace.models.ngrams import NgramOptions, bytes_of, grams
from headrace.project import Project
from headrace.records import Adapter, Release
from headrace.serving.bank import Bank
from headrace.serving.export import Precision, export
from headrace.serving.shelf import Shelf

AT = datetime(2026, 1, 1, tzinfo=UTC)
TASK = "intent"
QUERY_VALUE = ("attention.self.query", "attention.self.value")
KINDS = ("joint", "qv", "all")
WEIGHTS, KEYS, RANK, LONGEST = 20_000, 8_600, 8, 128


def read_texts(data: Path, name: str = "banking77", split: str = "test") -> list[str]:
    """The texts of a split of a data set."""
    with open(data / name / f"{split}.csv", encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def cut_texts(tokenizer: Tokenizer, texts: Sequence[str], tokens: int, count: int) -> list[str]:
    """`count` distinct texts that the tokenizer reads as exactly `tokens` tokens, special ones included.

    Each begins as one of `texts` does, goes on with the following ones and is cut. Raises ValueError where
    `texts` do not give that many.
    """
    found: dict[str, None] = {}
    for start in range(len(texts)):
        if len(found) == count:
            break
        text, following = texts[start], start + 1
        while len(tokenizer.encode(text).ids) < tokens and following < start + tokens:
            text, following = f"{text} {texts[following % len(texts)]}", following + 1
        offsets = tokenizer.encode(text).offsets
        if len(offsets) >= tokens:
            cut = text[: offsets[tokens - 2][1]]
            if len(tokenizer.encode(cut).ids) == tokens:
                found[cut] = None
    if len(found) < count:
        raise ValueError(f"{len(texts)} texts give {len(found)} of {tokens} tokens, not {count}")
    return list(found)


@dataclass(frozen=True)
class Words:
    """The n-grams that occur in some texts: sorted `keys`, the `share` of each and its `idf`."""

    keys: NDArray[np.uint16]
    share: NDArray[np.float64]
    idf: NDArray[np.uint8]

    @classmethod
    def of(cls, token_ids: Sequence[NDArray[np.int32]]) -> Words:
        """The n-grams of texts as the base reads them."""
        found = grams(token_ids, [""] * len(token_ids), NgramOptions())
        keys, counts = np.unique(found.keys, return_counts=True)
        idf = bytes_of(np.log((1 + len(token_ids)) / (1 + counts)) + 1)
        return cls(keys.astype(np.uint16), counts / counts.sum(), idf)


def make_head(
    random: np.random.Generator, words: Words, labels: int, width: int, base: str, *, delta: bool = False
) -> Head:
    """A head of `labels` on embeddings of `width`: 20,000 weights on keys drawn by how often they occur."""
    many = min(KEYS, len(words.keys))
    # Drawn without replacement, an often seen key more likely (Efraimidis and Spirakis 2006).
    at = np.sort(np.argpartition(random.standard_exponential(len(words.keys)) / words.share, many - 1)[:many])
    cells = np.sort(random.integers(0, many * labels, min(WEIGHTS, many * labels // 2)))
    cells = cells[np.diff(cells, prepend=-1) > 0]
    rows, columns = np.divmod(cells, labels)
    counts = np.bincount(rows, minlength=many)
    used = np.flatnonzero(counts)
    counts = counts[used]
    packed, scale = eight_bits(random.standard_normal((width, labels), np.float32))
    weights = random.integers(1, 128, len(cells)) * random.choice([-1, 1], len(cells))
    return Head(
        labels=tuple(f"label-{i:03}" for i in range(labels)),
        dense=packed * scale,
        bias=random.standard_normal(labels, np.float32),
        embedding_weight=1.0,
        keys=words.keys[at[used]],
        idf=words.idf[at[used]],
        unseen=int(words.idf.max()),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        columns=columns.astype(np.uint16),
        weights=weights.astype(np.int8),
        scale=np.full(labels, 0.05, np.float32),
        base=base,
        delta=delta,
    )


def make_heads(
    count: int, words: Words, *, labels: int = 77, width: int = 384, seed: int = 0, base: str = ""
) -> Iterator[Head]:
    """`count` heads, each with numbers of its own."""
    for number in range(count):
        yield make_head(np.random.default_rng([seed, number]), words, labels, width, base)


def sites_of(kind: str, base: BaseFolder) -> list[tuple[int, str]]:
    """The (layer, module)s that a delta of `kind` changes: none, or query and value, or all, of the top two."""
    modules = {"joint": (), "qv": QUERY_VALUE, "all": MODULES}[kind]
    return [(layer, module) for layer in (base.layers - 2, base.layers - 1) for module in modules]


def make_delta(
    random: np.random.Generator, sites: Iterable[tuple[int, str]], width: int, inner: int
) -> Delta:
    """A delta of rank 8 on `sites`, small enough that embeddings stay in their range."""
    factors = {}
    for layer, module in sites:
        into = inner if module == "output.dense" else width
        out = inner if module == "intermediate.dense" else width
        a = random.standard_normal((RANK, into), np.float32) * np.float32(into**-0.5)
        b = random.standard_normal((out, RANK), np.float32) * np.float32(0.02)
        factors[layer, module] = (a.astype(np.float32), b.astype(np.float32))
    return Delta(factors, 2.0)


@dataclass
class Channels:
    """Adapters of as many channels in a folder of artifacts, with the records that a store would hold.

    `texts` are what is asked: keys of heads are drawn from them. `graph` are the digests of the files that
    all share.
    """

    folder: Path
    base: BaseFolder
    kind: str
    words: Words
    graph: Mapping[str, str]
    seed: int = 0
    labels: int = 77
    adapters: list[Adapter] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)

    def path(self, digest: str) -> Path:
        """Where an artifact stands, as in a store."""
        return self.folder / digest[:2] / digest

    def put(self, content: bytes) -> str:
        """Write an artifact without waiting for the disk."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return digest

    def add(self, count: int, version: int = 0) -> None:
        """Make and release `count` more channels, or with `version` a further release of the first `count`."""
        start = 0 if version else len(self.adapters)
        for number in range(start, start + count):
            files = self.files(number, version)
            digests = {name: self.put(content) for name, content in files.items()}
            name, size = f"adp_{version}_{number:06}", sum(map(len, files.values()))
            labels = tuple(f"label-{i:03}" for i in range(self.labels))
            record = Adapter(
                name,
                TASK,
                channel(number),
                self.base.name,
                labels,
                {**digests, **self.graph},
                {},
                size,
                0.0,
                AT,
            )
            at = AT + timedelta(days=version, seconds=number)
            release = Release(f"rel_{version}_{number:06}", TASK, channel(number), name, at, {})
            self.adapters.append(record)
            self.releases.append(release)

    def files(self, number: int, version: int = 0) -> dict[str, bytes]:
        """The files that are channel `number`'s own."""
        random = np.random.default_rng([self.seed, version, number])
        delta = self.delta(number, version)
        head = make_head(
            random,
            self.words,
            self.labels,
            self.base.width,
            self.base.fingerprint,
            delta=delta is not None,
        )
        return {HEAD_FILE: head.to_bytes()} | (delta.to_files() if delta else {})

    def delta(self, number: int, version: int = 0) -> Delta | None:
        """The delta of channel `number`."""
        sites = sites_of(self.kind, self.base)
        random = np.random.default_rng([self.seed, version, number, 1])
        inner = int(self.base.config["intermediate_size"])
        return make_delta(random, sites, self.base.width, inner) if sites else None

    @property
    def bytes(self) -> int:
        """Bytes of the adapters' own files."""
        return sum(adapter.size for adapter in self.adapters)

    def bank(self, *, limit: int = 4 << 30, first: int | None = None) -> Bank:
        """A bank that serves these channels (the `first` ones of them), with `limit` bytes in memory."""
        empty = Bank(shelf=Shelf(limit=limit, folder=self.folder))
        return empty.after(self.releases[:first], self.adapters[:first], self.path)


def channel(number: int) -> str:
    """The name of a channel."""
    return f"c{number:05}"


def make_channels(
    folder: Path,
    base: BaseFolder,
    kind: str,
    texts: Sequence[str],
    *,
    count: int,
    calibration: Sequence[str] = (),
    precision: Precision = "int8",
    seed: int = 0,
    labels: int = 77,
    merged: bool = False,
) -> Channels:
    """`count` channels of `kind` ("joint": head alone, "qv", "all") on a graph exported for them.

    `merged` makes one channel whose delta is in the weights of its graph, with the head of channel 0.
    """
    sites = sites_of(kind, base)
    tokens = tokenise(base.tokenizer(LONGEST), texts, base.prefix)
    made = Channels(folder, base, "joint" if merged else kind, Words.of(tokens), {}, seed, labels)
    inner = int(base.config["intermediate_size"])
    delta = make_delta(np.random.default_rng([seed, 0, 0, 1]), sites, base.width, inner) if sites else None
    files = export(
        base,
        () if merged else sites,
        longest=LONGEST,
        texts=calibration,
        precision=precision,
        merged=delta if merged else None,
    )
    made.graph = {name: made.put(content) for name, content in files.items()}
    made.add(1 if merged else count)
    return made


def write_project(folder: Path, made: Channels, *, memory: int | None = None, port: int = 8420) -> Project:
    """A project whose store has the channels of `made` released; `made.folder` must be `artifacts_of(folder)`.

    `memory` is the recipe's megabytes of adapters in memory.
    """
    limit = "" if memory is None else f", memory: {memory}"
    lines = [
        "name: synthetic",
        "tasks:",
        f"  {TASK}: {{base: {made.base.name}}}",
        f"serve: {{port: {port}{limit}}}",
        "channels:",
        *(f"  {channel(number)}: {{tasks: [{TASK}]}}" for number in range(len(made.adapters))),
    ]
    project = Project.init(folder, recipe="\n".join(lines) + "\n")
    project.store.history.add(*made.adapters, *made.releases)
    return project


def artifacts_of(folder: Path) -> Path:
    """Where a project in `folder` keeps its artifacts."""
    return folder / "artifacts"
