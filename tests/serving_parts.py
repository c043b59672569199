"""A tiny random base with its adapters, a few kilobytes, without torch: what the serving tests stand on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import safetensors.numpy
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from headrace.models.adapter import Head
from headrace.models.base import BaseFolder, resolve
from headrace.models.delta import MODULES, Delta
from headrace.models.ngrams import NgramOptions, grams
from headrace.records import Adapter, Release
from headrace.serving.bank import Bank
from headrace.serving.export import export
from headrace.serving.shelf import LIMIT, Shelf

WIDTH, INNER, LAYERS, POSITIONS = 32, 64, 2, 48
WORDS = [f"w{i}" for i in range(120)]
SITES = [
    (1, "attention.self.query"),
    (1, "attention.self.value"),
    (0, "output.dense"),
    (1, "intermediate.dense"),
]
START = datetime(2026, 1, 1, tzinfo=UTC)


def tiny_tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """The weights of a BERT of two layers, named as transformers names them."""
    random = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.2) -> np.ndarray:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    out = {
        "embeddings.word_embeddings.weight": normal(len(WORDS) + 4, WIDTH, scale=1.0),
        "embeddings.position_embeddings.weight": normal(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": normal(2, WIDTH),
        "embeddings.LayerNorm.weight": 1 + normal(WIDTH),
        "embeddings.LayerNorm.bias": normal(WIDTH),
    }
    for layer in range(LAYERS):
        for module in MODULES:
            rows = INNER if module == "intermediate.dense" else WIDTH
            columns = INNER if module == "output.dense" else WIDTH
            out[f"encoder.layer.{layer}.{module}.weight"] = normal(rows, columns)
            out[f"encoder.layer.{layer}.{module}.bias"] = normal(rows)
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            out[f"encoder.layer.{layer}.{norm}.weight"] = 1 + normal(WIDTH)
            out[f"encoder.layer.{layer}.{norm}.bias"] = normal(WIDTH)
    return out


def tiny_base(folder: Path, tensors: Mapping[str, np.ndarray] | None = None, seed: int = 0) -> BaseFolder:
    """A base folder with those weights and a tokenizer that knows `WORDS`."""
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(dict(tensors or tiny_tensors(seed)), folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "intermediate_size": INNER,
        "vocab_size": len(WORDS) + 4,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return resolve(str(folder), folder)


def tiny_delta(seed: int, rank: int = 3, sites: Sequence[tuple[int, str]] = SITES) -> Delta:
    """A delta that changes embeddings visibly."""
    random = np.random.default_rng(seed)
    factors = {}
    for layer, module in sites:
        into = INNER if module == "output.dense" else WIDTH
        out = INNER if module == "intermediate.dense" else WIDTH
        a, b = random.standard_normal((rank, into)) * 0.3, random.standard_normal((out, rank)) * 0.3
        factors[layer, module] = (a.astype(np.float32), b.astype(np.float32))
    return Delta(factors, 2.0)


def tiny_head(base: BaseFolder, labels: Sequence[str], seed: int, *, delta: bool = False) -> Head:
    """A random head over the embedding and the words of the vocabulary."""
    random, many = np.random.default_rng(seed), len(labels)
    keys = np.unique(grams([np.arange(4, 60, dtype=np.int32)], [""], NgramOptions(1, 0)).keys).astype(
        np.uint16
    )
    return Head(
        labels=tuple(labels),
        dense=(random.standard_normal((WIDTH, many)) * 2).astype(np.float32),
        bias=random.standard_normal(many).astype(np.float32),
        embedding_weight=1.0,
        keys=keys,
        idf=np.full(len(keys), 40, np.uint8),
        unseen=60,
        starts=np.arange(len(keys) + 1, dtype=np.int32),
        columns=(np.arange(len(keys)) % many).astype(np.uint16),
        weights=random.integers(-90, 90, len(keys)).astype(np.int8),
        scale=np.full(many, 0.02, np.float32),
        ngrams=NgramOptions(1, 0),
        base=base.fingerprint,
        delta=delta,
    )


class Shop:
    """Artifacts in a folder, records and releases in lists: what a store would hold, for a bank."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.adapters, self.releases = folder, list[Adapter](), list[Release]()
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the artifact stands."""
        return self.folder / digest

    def add(
        self,
        name: str,
        base: BaseFolder,
        head: Head,
        *,
        task: str = "intent",
        channel: str | None = None,
        delta: Delta | None = None,
        sites: Sequence[tuple[int, str]] = (),
    ) -> dict[str, bytes]:
        """Store an adapter; gives its files."""
        files = (
            export(base, sites) | {"head.safetensors": head.to_bytes()} | (delta.to_files() if delta else {})
        )
        digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        for file, digest in digests.items():
            self.path(digest).write_bytes(files[file])
        adapter = Adapter(name, task, channel, base.name, head.labels, digests, {}, 0, 0.0, START)
        self.adapters.append(adapter)
        return files

    def release(self, name: str, adapter: str, channel: str, task: str = "intent") -> None:
        """Let `adapter` serve (task, channel) from now on."""
        at = START + timedelta(minutes=len(self.releases))
        self.releases.append(Release(name, task, channel, adapter, at, {}))

    def bank(self, previous: Bank | None = None, *, limit: int = LIMIT) -> Bank:
        """What serves after the releases so far; `previous` is what served after some of them."""
        known = len(previous.seen) if isinstance(previous, ShopBank) else 0
        begun = previous or Bank(shelf=Shelf(limit=limit))
        bank = begun.after(self.releases[known:], self.adapters, self.path)
        return ShopBank(bank.router, bank.sources, bank.shelf, seen=tuple(self.releases))


@dataclass(frozen=True)
class ShopBank(Bank):
    """A bank that knows which releases it has seen."""

    seen: tuple[Release, ...] = ()
