"""Frozen features, computed once and kept on disk: pooled embeddings, and hidden states below a layer.

The value of a text is a function of the text alone: a batch's length is a multiple of 8 and says how many rows
it has (filled up with dummies), and each is worked by one thread, so neither its batch mates nor what was
cached before nor the number of threads change a bit of it. Batches run side by side; threads that shared one
product would wait for each other, many times longer where the machine has other work.

A chunk is two files, values and then keys, each written under a temporary name, synced and renamed; a chunk
without keys does not count, so a kill at any moment leaves a valid cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headrace.data.progress import Progress
from headrace.models.base import BaseFolder, tokenise
from headrace.models.delta import Delta
from headrace.models.encoder_torch import Encoder, factors_of, fast_device, fast_dtype, mean_pool
from headrace.store.failures import disk_errors

STEP, CHUNK = 8, 1024
ROWS = ((24, 32), (48, 16), (96, 8), (512, 4))
"""Up to this length, so many rows a batch: products stay large, and rare lengths bring few dummies."""
_KEY = np.dtype([("digest", "S32"), ("tokens", "<u4")])
Ids = NDArray[np.int32]


@dataclass
class Prefix:
    """The cached features of one base, for texts read up to `longest` tokens with `prefix` before them."""

    base: BaseFolder
    longest: int
    prefix: str
    cache: Path
    threads: int = 2
    progress: Progress | None = None
    device: torch.device = field(default_factory=fast_device)
    _stores: dict[str, _Store] = field(default_factory=dict)
    _encoder: Encoder | None = None

    @property
    def encoder(self) -> Encoder:
        """The base in the number format that is fast here, loaded onto the device at first use."""
        if self._encoder is None:
            self._encoder = Encoder.load(self.base, fast_dtype(), self.device)
        return self._encoder

    @property
    def place(self) -> str:
        """Where the base runs and in which numbers, for people."""
        kind = str(fast_dtype()).removeprefix("torch.")
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)} in {kind}"
        return f"the processor in {kind}"

    def tokens(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids as the base reads them."""
        return tokenise(self.base.tokenizer(self.longest), texts, self.prefix)

    def pooled(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, d] float32 mean-pooled embeddings of norm 1."""
        found = self._have(texts, self.base.layers, pooled=True)
        return (
            np.stack([found[text] for text in texts]) if texts else np.zeros((0, self.base.width), np.float32)
        )

    def hidden(self, texts: Sequence[str], layer: int) -> list[NDArray[np.uint16]]:
        """The states below `layer` of each text: [tokens, d] bfloat16 as uint16, memory-mapped."""
        found = self._have(texts, layer, pooled=False)
        return [found[text] for text in texts]

    def warm(self, texts: Sequence[str], layer: int) -> None:
        """Have what `pooled` and `hidden` at `layer` will ask for, by one pass through the base."""
        below, top = self._store(layer, pooled=False), self._store(self.base.layers, pooled=True)
        missing = [text for text in dict.fromkeys(texts) if text not in below and text not in top]
        if missing:
            self._compute(missing, [_Height(layer, False, below), _Height(self.base.layers, True, top)])

    def pooled_through(self, texts: Sequence[str], delta: Delta) -> NDArray[np.float32]:
        """[n, d] float32 embeddings of norm 1 of the base with `delta`; only the states below are cached."""
        pairs = {place: (a.to(self.device), b.to(self.device)) for place, (a, b) in factors_of(delta).items()}
        return self.pooled_above(texts, self.encoder.merged(pairs, delta.scaling), delta.lowest)

    def pooled_above(self, texts: Sequence[str], encoder: Encoder, layer: int) -> NDArray[np.float32]:
        """[n, d] float32 embeddings of norm 1 by another encoder, from this base's states below `layer`."""

        def pooled(padded: Tensor, mask: Tensor) -> Tensor:
            out = encoder.run(padded, mask, layer, self.base.layers)
            return torch.nn.functional.normalize(mean_pool(out, mask), dim=-1)

        return pool_batches(self.hidden(texts, layer), encoder, pooled, self.base.width, self.threads)

    def _have(self, texts: Sequence[str], layer: int, *, pooled: bool) -> dict[str, NDArray[Any]]:
        store = self._store(layer, pooled)
        unique = list(dict.fromkeys(texts))
        missing = [text for text in unique if text not in store]
        if missing:
            self._compute(missing, [_Height(layer, pooled, store)])
        return {text: store[text] for text in unique}

    def _store(self, layer: int, pooled: bool) -> _Store:
        kind = "pooled" if pooled else "hidden"
        kinds = (self.device.type, str(fast_dtype()), "v3")
        parts = (self.base.fingerprint, str(self.longest), self.prefix, *kinds)
        said = "\x1f".join(parts)
        name = f"{hashlib.sha256(said.encode()).hexdigest()[:20]}-{kind}-{layer}"
        if name not in self._stores:
            self._stores[name] = _Store.open(self.cache / "features" / name)
        return self._stores[name]

    def _compute(self, missing: Sequence[str], heights: Sequence[_Height]) -> None:
        ids, encoder = self.tokens(missing), self.encoder
        order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), missing[i]))
        batches = list(_batches(order, [len(one) for one in ids]))
        done = 0
        with ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for some in _chunks(batches):
                work = [pool.submit(_forward, encoder, [ids[i] for i in batch], heights) for batch in some]
                ready: list[list[tuple[str, NDArray[Any]]]] = [[] for _ in heights]
                for batch, job in zip(some, work, strict=True):
                    for rows, values in zip(ready, job.result(), strict=True):
                        rows += [(missing[i], value) for i, value in zip(batch, values, strict=True)]
                    done += len(batch)
                    if self.progress is not None:
                        self.progress("features", done, len(missing))
                for height, rows in zip(heights, ready, strict=True):
                    height.store.add(rows)


@dataclass(frozen=True)
class _Height:
    """What of a pass is kept: the states below `layer`, or pooled ones, and where."""

    layer: int
    pooled: bool
    store: _Store


def _forward(encoder: Encoder, ids: Sequence[Ids], heights: Sequence[_Height]) -> list[list[NDArray[Any]]]:
    """For each height, from the lowest up, its value of each text."""
    length = _rounded(max(len(one) for one in ids))
    padded = torch.zeros(_rows(length), length, dtype=torch.long)
    mask = torch.zeros(_rows(length), length, dtype=torch.bool)
    mask[:, 0] = True
    for row, one in enumerate(ids):
        padded[row, : len(one)] = torch.from_numpy(one.astype(np.int64))
        mask[row, : len(one)] = True
    padded, mask = padded.to(encoder.device), mask.to(encoder.device)
    found, low = [], 0
    with torch.inference_mode():
        states = encoder.embed(padded)
        for height in heights:
            states, low = encoder.run(states, mask, low, height.layer), height.layer
            found.append(_values(states, mask, ids, height.pooled))
    return found


def _values(states: Tensor, mask: Tensor, ids: Sequence[Ids], pooled: bool) -> list[NDArray[Any]]:
    if pooled:
        values = torch.nn.functional.normalize(mean_pool(states, mask), dim=-1).cpu().numpy()
        return list(values[: len(ids)])
    raw = states.to(torch.bfloat16).view(torch.int16).cpu().numpy().view(np.uint16)
    return [raw[row, : len(one)] for row, one in enumerate(ids)]


def pad_states(
    states: Sequence[NDArray[np.uint16]], encoder: Encoder, rows: int = 0, length: int = 0
) -> tuple[Tensor, Tensor]:
    """States of several texts as one [B, L, d] in the encoder's number format, and its mask [B, L]."""
    count, longest = max(rows, len(states)), max([length, *(len(one) for one in states)])
    padded = np.zeros((count, longest, states[0].shape[1]), np.uint16)
    mask = torch.zeros(count, longest, dtype=torch.bool)
    mask[:, 0] = True
    for row, one in enumerate(states):
        padded[row, : len(one)] = one
        mask[row, : len(one)] = True
    raw = torch.from_numpy(padded.view(np.int16)).view(torch.bfloat16)
    return raw.to(encoder.device, encoder.dtype), mask.to(encoder.device)


def pool_batches(
    states: Sequence[NDArray[np.uint16]],
    encoder: Encoder,
    pooled: Callable[[Tensor, Tensor], Tensor],
    width: int,
    threads: int,
) -> NDArray[np.float32]:
    """[n, width] of `pooled` over batches of fixed shapes, so a row's value depends on that row alone."""
    lengths = [len(one) for one in states]
    order = sorted(range(len(states)), key=lambda i: (lengths[i], i))
    batches = list(_batches(order, lengths))

    def work(batch: list[int]) -> NDArray[np.float32]:
        longest = _rounded(max(lengths[i] for i in batch))
        with torch.no_grad():
            found = pooled(*pad_states([states[i] for i in batch], encoder, _rows(longest), longest))
        return np.asarray(found.cpu().numpy()[: len(batch)])

    out = np.zeros((len(states), width), np.float32)
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for batch, values in zip(batches, pool.map(work, batches), strict=True):
            out[batch] = values
    return out


def _rounded(length: int) -> int:
    return -(-length // STEP) * STEP


def _rows(length: int) -> int:
    """Rows of a batch of this length."""
    return next(rows for longest, rows in ROWS if length <= longest)


def _batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Runs of texts whose lengths round up to the same multiple of 8, as many as such a batch has rows."""
    batch: list[int] = []
    for i in order:
        length = _rounded(lengths[i])
        if batch and (len(batch) == _rows(length) or length != _rounded(lengths[batch[0]])):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _chunks(batches: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """Runs of batches that make a chunk on disk, of at most 1,024 rows."""
    chunk: list[list[int]] = []
    for batch in batches:
        if sum(map(len, chunk)) + len(batch) > CHUNK:
            yield chunk
            chunk = []
        chunk.append(batch)
    if chunk:
        yield chunk


@dataclass
class _Store:
    """A folder of chunks: `NAME.npy` holds rows of values, `NAME.keys` whose they are; keys come last."""

    folder: Path
    where: dict[bytes, tuple[NDArray[Any], int, int]]

    @classmethod
    def open(cls, folder: Path) -> _Store:
        store = cls(folder, {})
        for path in sorted(folder.glob("*.keys")):
            store._take(path)
        return store

    def __contains__(self, text: str) -> bool:
        return _digest(text) in self.where

    def __getitem__(self, text: str) -> NDArray[Any]:
        values, start, end = self.where[_digest(text)]
        return values[start] if end < 0 else values[start:end]

    def add(self, rows: Sequence[tuple[str, NDArray[Any]]]) -> None:
        """Write one chunk and have it at once; raises StoreFull or StoreError where it cannot be written."""
        states = rows[0][1].ndim == 2
        keys = np.array([(_digest(text), len(value) if states else 0) for text, value in rows], _KEY)
        values = np.concatenate([value for _, value in rows]) if states else np.stack([v for _, v in rows])
        target = self.folder / f"{hashlib.sha256(keys.tobytes()).hexdigest()[:24]}.keys"
        with disk_errors(str(self.folder)):
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(target.with_suffix(".npy"), values)
            _write(target, keys)
        self._take(target)

    def _take(self, path: Path) -> None:
        keys = np.load(path, allow_pickle=False)
        values = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        start = 0
        for row, (digest, tokens) in enumerate(keys.tolist()):
            self.where[digest] = (values, start, start + tokens) if tokens else (values, row, -1)
            start += tokens


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest().encode()


def _write(path: Path, array: NDArray[Any]) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(scratch, "wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
