"""The heads of many adapters, packed as on disk, scored together: each row by its own, in one pass.

A head stays in 8 bits in memory. Hashing, idf, norms and the sums of word weights are done for all rows at
once, over one range of addresses; only the look-up of a row's n-grams among its head's keys and the product
with its embedding go row by row. Every number of a row is computed from that row alone, in an order of its
own: its scores are the same, bit for bit, whoever shares its batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models.adapter import Floats, Head, eight_bits
from headrace.models.ngrams import IDF_STEP, NgramOptions, grams, grams_of
from headrace.serving.arena import Arena, Extent

Ids = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]
_ALIGN = 64
_PARTS = ("dense", "scale", "bias", "word_scale", "keys", "idf", "starts", "columns", "weights")


@dataclass(frozen=True, slots=True)
class Outline:
    """What a packed head is beside its bytes: labels, how to read n-grams, and the parts in their order."""

    labels: tuple[str, ...]
    ngrams: NgramOptions
    unseen: int
    heat: np.float32
    parts: tuple[tuple[str, tuple[int, ...], np.dtype[Any]], ...]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(_aligned(int(np.prod(shape)) * kind.itemsize) for _, shape, kind in self.parts)


class PackedHead:
    """A head whose bytes are in an arena; `at` says where each part begins, in items of the part's type."""

    __slots__ = ("at", "extent", "family", "outline", *_PARTS)
    dense: npt.NDArray[Any]
    scale: Floats
    bias: Floats
    word_scale: Floats
    keys: npt.NDArray[np.uint16]
    idf: npt.NDArray[np.uint8]
    starts: npt.NDArray[Any]
    columns: npt.NDArray[Any]
    weights: npt.NDArray[np.int8]

    def __init__(self, outline: Outline, extent: Extent) -> None:
        self.outline, self.extent = outline, extent
        self.at: dict[str, int] = {}
        memory, place = extent.memory, 0
        for name, shape, kind in outline.parts:
            length = int(np.prod(shape)) * kind.itemsize
            setattr(self, name, memory[place : place + length].view(kind).reshape(shape))
            self.at[name] = (extent.start + place) // kind.itemsize
            place += _aligned(length)
        self.family = (outline.ngrams, self.starts.dtype, self.columns.dtype)


class Heads:
    """Packs heads into an arena and scores rows with them. Safe from several threads."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._labels: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._typed = {np.dtype(kind): arena.memory.view(kind) for kind in (np.uint8, np.uint16, np.uint32)}
        self._signed = arena.memory.view(np.int8)

    def pack(self, head: Head) -> PackedHead:
        """Put `head` into the arena. Raises ArtifactError where there is no room."""
        parts = _parts(head)
        extent = self.arena.take(sum(_aligned(part.nbytes) for part in parts.values()))
        memory, place = extent.memory, 0
        for part in parts.values():
            memory[place : place + part.nbytes] = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
            place += _aligned(part.nbytes)
        outline = Outline(
            # Channels of a task name the same labels: one tuple in memory is enough.
            labels=self._labels.setdefault(head.labels, head.labels),
            ngrams=head.ngrams,
            unseen=head.unseen,
            heat=np.float32(1 / head.temperature),
            parts=tuple((name, part.shape, part.dtype) for name, part in parts.items()),
        )
        return PackedHead(outline, extent)

    def probabilities(
        self,
        heads: Sequence[PackedHead],
        embeddings: Floats,
        texts: Sequence[str],
        token_ids: Sequence[Ids],
    ) -> list[Floats]:
        """[K] probabilities of each row by its own head: softmax of the logits over its temperature.

        `embeddings` [B, d] float32 of norm 1; `token_ids` as the base reads the texts, prefix included.
        """
        if len(heads) <= _FEW:
            rows = zip(heads, embeddings, texts, token_ids, strict=True)
            return [_one(*row) for row in rows]
        return self._many(heads, embeddings, texts, token_ids)

    def _many(
        self,
        heads: Sequence[PackedHead],
        embeddings: Floats,
        texts: Sequence[str],
        token_ids: Sequence[Ids],
    ) -> list[Floats]:
        """What `_one` gives for each row, bit for bit, in as many steps for all rows as for one."""
        counts = np.array([len(head.bias) for head in heads])
        ends = np.cumsum(counts)
        begins = ends - counts
        logits = _dense(heads, embeddings, begins)
        for rows in _families(heads):
            own, ids = [heads[i] for i in rows], [token_ids[i] for i in rows]
            added = self._words(own, [texts[i] for i in rows], ids, counts[rows])
            if len(rows) == len(heads):
                logits += added
            else:
                logits[_runs(begins[rows], counts[rows])] += added
        logits *= np.repeat(np.array([head.outline.heat for head in heads]), counts)
        logits -= np.repeat(np.maximum.reduceat(logits, begins), counts)
        np.exp(logits, out=logits)
        logits /= np.repeat(np.add.reduceat(logits, begins), counts)
        return [logits[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]

    def _words(
        self, heads: Sequence[PackedHead], texts: Sequence[str], ids: Sequence[Ids], counts: Indices
    ) -> Floats:
        """What the n-grams bring to the logits of rows whose heads are of one family, row after row."""
        total, ends = int(counts.sum()), np.cumsum(counts)
        found = grams(ids, texts, heads[0].family[0])
        if not len(found.keys):
            return np.zeros(total, np.float32)
        keys, rows = found.keys.astype(np.uint16), found.rows
        at, hit = self._look_up(heads, keys, rows)
        idf = np.array([head.outline.unseen for head in heads], np.uint8)[rows]
        idf[hit] = self._typed[_BYTE][(_places(heads, "idf")[rows] + at)[hit]]
        values = (1 + np.log(found.times)) * (idf.astype(np.float32) / np.float32(IDF_STEP))
        squares = np.bincount(rows, values.astype(np.float64) ** 2, minlength=len(heads))
        at, rows, values = at[hit], rows[hit], values[hit]
        picked, times = self._runs_of(heads, rows, at)
        rows = np.repeat(rows, times)
        columns = self._typed[heads[0].family[2]][_places(heads, "columns")[rows] + picked]
        brought = np.repeat(values, times) * self._signed[_places(heads, "weights")[rows] + picked]
        sums = np.bincount((ends - counts)[rows] + columns, brought, minlength=total)
        norms = np.maximum(np.sqrt(squares), 1e-6)
        scales = np.concatenate([head.word_scale for head in heads])
        return np.asarray(sums * scales / np.repeat(norms, counts), np.float32)

    def _look_up(
        self, heads: Sequence[PackedHead], keys: npt.NDArray[np.uint16], rows: Indices
    ) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Where each n-gram stands among the keys of its row's head, and whether it is there at all."""
        at = np.empty(len(keys), np.int64)
        bounds = np.searchsorted(rows, np.arange(len(heads) + 1)).tolist()
        for head, begin, end in zip(heads, bounds, bounds[1:], strict=False):
            at[begin:end] = head.keys.searchsorted(keys[begin:end])
        last = np.array([len(head.keys) - 1 for head in heads])[rows]
        np.minimum(at, np.maximum(last, 0), out=at)
        stored = self._typed[_PAIR][_places(heads, "keys")[rows] + at]
        return at, (stored == keys) & (last >= 0)

    def _runs_of(self, heads: Sequence[PackedHead], rows: Indices, at: Indices) -> tuple[Indices, Indices]:
        """The positions of all weights of the n-grams `at`, and how many each has."""
        starts, places = self._typed[heads[0].family[1]], _places(heads, "starts")[rows] + at
        begins = starts[places].astype(np.int64)
        times = starts[places + 1].astype(np.int64) - begins
        return _runs(begins, times), times


def _one(head: PackedHead, embedding: Floats, text: str, ids: Ids) -> Floats:
    """The probabilities of one row."""
    logits: Floats = np.matmul(head.dense.astype(np.float32, copy=False), embedding)
    logits *= head.scale
    logits += head.bias
    logits += _words_of(head, text, ids)
    logits *= head.outline.heat
    logits -= np.maximum.reduce(logits)
    np.exp(logits, out=logits)
    logits /= np.add.reduceat(logits, _FIRST)
    return logits


def _words_of(head: PackedHead, text: str, ids: Ids) -> Floats | float:
    keys, times = grams_of(ids, text, head.outline.ngrams)
    if not len(keys) or not len(head.keys):
        return 0.0
    at = head.keys.searchsorted(keys)
    hit = head.keys.take(at, mode="clip") == keys
    idf = head.idf.take(at, mode="clip").astype(np.float32)
    idf[~hit] = head.outline.unseen
    idf /= np.float32(IDF_STEP)
    values = idf if times is None else (1 + np.log(times)) * idf
    square = np.bincount(np.zeros(len(values), np.int64), values.astype(np.float64) ** 2)
    at, values = at[hit], values[hit]
    begins = head.starts[at].astype(np.int64)
    lengths = head.starts[at + 1] - begins
    picked = _runs(begins, lengths)
    brought = values.repeat(lengths) * head.weights[picked]
    sums = np.bincount(head.columns[picked], brought, minlength=len(head.bias))
    return np.asarray(sums * head.word_scale / np.maximum(np.sqrt(square), 1e-6), np.float32)


_FEW = 3  # rows up to which one by one is faster than all together
_FIRST = np.array([0])
_BYTE, _PAIR = np.dtype(np.uint8), np.dtype(np.uint16)


def _parts(head: Head) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a head in the smallest types that hold them; `dense` turned, a label a row."""
    packed, scale = eight_bits(head.dense)
    exact = np.array_equal(packed * scale, head.dense)
    weight = np.float32(head.embedding_weight)
    return {
        "dense": np.ascontiguousarray((packed if exact else head.dense).T),
        "scale": (scale if exact else np.ones_like(scale)) * weight,
        "bias": head.bias,
        "word_scale": head.scale,
        "keys": head.keys,
        "idf": head.idf,
        "starts": head.starts.astype(np.uint16 if len(head.weights) < 1 << 16 else np.uint32),
        "columns": head.columns.astype(np.uint8 if len(head.labels) <= 256 else np.uint16),
        "weights": head.weights,
    }


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _places(heads: Sequence[PackedHead], part: str) -> Indices:
    return np.array([head.at[part] for head in heads])


def _families(heads: Sequence[PackedHead]) -> Iterable[Indices]:
    """Rows whose heads read n-grams in one way and keep them in the same types."""
    if len({head.family for head in heads}) == 1:
        return [np.arange(len(heads))]
    groups: dict[object, list[int]] = {}
    for row, head in enumerate(heads):
        groups.setdefault(head.family, []).append(row)
    return [np.array(rows) for rows in groups.values()]


def _dense(heads: Sequence[PackedHead], embeddings: Floats, begins: Indices) -> Floats:
    """The embedding's part of the logits and the bias, row after row; one product a row, whatever its mates."""
    products = np.empty(sum(len(head.bias) for head in heads), np.float32)
    wide, last = np.empty((0, 0), np.float32), None
    for head, embedding, begin in zip(heads, embeddings, begins.tolist(), strict=True):
        if head is not last:
            wide, last = head.dense.astype(np.float32, copy=False), head
        np.matmul(wide, embedding, out=products[begin : begin + len(wide)])
    products *= np.concatenate([head.scale for head in heads])
    products += np.concatenate([head.bias for head in heads])
    return products


def _runs(begins: Indices, lengths: Indices) -> Indices:
    """begin, begin + 1, ... of each run, one after another."""
    return np.arange(int(lengths.sum())) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)
