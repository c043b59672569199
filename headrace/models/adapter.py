"""What an adapter is made of: the head, in kilobytes, and how it turns embeddings and words into scores.

`head.safetensors` holds a dense matrix over the base's embedding, in 8 bits, and a pruned sparse block over
the channel's own n-grams, in 8 bits, with its metadata as JSON. The delta, where there is one, is in
`delta.py`. Both are read here without torch, and every byte read is checked before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from headrace.errors import ArtifactError
from headrace.models.ngrams import BUCKETS, IDF_STEP, NgramOptions, grams

HEAD_FILE = "head.safetensors"
FORMAT = "headrace-head-1"
_TENSORS = {
    "dense": np.float32,
    "bias": np.float32,
    "keys": np.uint16,
    "idf": np.uint8,
    "counts": np.uint16,
    "weights": np.int8,
    "scale": np.float32,
}
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """Logits of K labels: embedding_weight * embedding @ dense + bias + words.

    dense [d, K] and bias [K] float32. The word block: sorted `keys` [V] uint16 with their `idf` [V] uint8 in
    sixteenths, `unseen` the idf of every other key (they count in the row's norm and carry no weight), and
    the weights of key v in `weights[starts[v]:starts[v + 1]]` int8 for the labels `columns[...]`, times
    `scale` [K] of the label. `temperature` divides the logits in `probabilities`. `base` is the fingerprint
    of the base that it was trained on, `delta` says whether its embeddings come through the adapter's delta.
    """

    labels: tuple[str, ...]
    dense: Floats
    bias: Floats
    embedding_weight: float
    keys: NDArray[np.uint16]
    idf: NDArray[np.uint8]
    unseen: int
    starts: NDArray[np.int32]
    columns: NDArray[np.uint16]
    weights: NDArray[np.int8]
    scale: Floats
    ngrams: NgramOptions = field(default_factory=NgramOptions)
    temperature: float = 1.0
    base: str = ""
    delta: bool = False

    @cached_property
    def idf_table(self) -> Floats:
        """[2^16] idf of every key."""
        table = np.full(BUCKETS, self.unseen, np.float32)
        table[self.keys] = self.idf
        return table / np.float32(IDF_STEP)

    def logits(
        self, embeddings: Floats, texts: Sequence[str], token_ids: Sequence[NDArray[np.int32]]
    ) -> Floats:
        """[B, K] logits, not divided by the temperature.

        `embeddings` [B, d] float32 of norm 1; `token_ids` as the base reads the texts, prefix included.
        """
        dense = embeddings @ self.dense * np.float32(self.embedding_weight) + self.bias
        return np.asarray(dense + self.word_logits(texts, token_ids), dtype=np.float32)

    def word_logits(self, texts: Sequence[str], token_ids: Sequence[NDArray[np.int32]]) -> Floats:
        """[B, K] part of the logits that the n-grams bring; a row's depends on that row alone."""
        found = grams(token_ids, texts, self.ngrams)
        size, many = found.count * len(self.labels), len(self.labels)
        if not len(self.keys) or not len(found.keys):
            return np.zeros((found.count, many), np.float32)
        values = (1 + np.log(found.times)) * self.idf_table[found.keys]
        norms = np.sqrt(np.bincount(found.rows, values.astype(np.float64) ** 2, minlength=found.count))
        at = np.searchsorted(self.keys, found.keys.astype(np.uint16))
        at[at == len(self.keys)] = 0
        hit = self.keys[at] == found.keys
        at, rows, values = at[hit], found.rows[hit], values[hit]
        lengths = self.starts[at + 1] - self.starts[at]
        offsets = np.repeat(self.starts[at] - np.cumsum(lengths) + lengths, lengths)
        picked = np.arange(len(offsets)) + offsets
        labels = self.columns[picked].astype(np.int64)
        brought = np.repeat(values, lengths) * self.weights[picked]
        total = np.bincount(np.repeat(rows, lengths) * many + labels, brought, minlength=size)
        scaled = total.reshape(found.count, many) * self.scale / np.maximum(norms, 1e-6)[:, None]
        return np.asarray(scaled, dtype=np.float32)

    def probabilities(
        self, embeddings: Floats, texts: Sequence[str], token_ids: Sequence[NDArray[np.int32]]
    ) -> Floats:
        """[B, K] probabilities: softmax of the logits over the temperature (Guo et al. 2017)."""
        return softmax(self.logits(embeddings, texts, token_ids) / np.float32(self.temperature))

    def to_bytes(self) -> bytes:
        """head.safetensors; the same head gives the same bytes."""
        packed, dense_scale = _packed(self.dense)
        small = len(self.labels) <= 255
        tensors = {
            "dense": packed,
            "bias": self.bias,
            "keys": self.keys,
            "idf": self.idf,
            "counts": np.diff(self.starts).astype(np.uint16),
            "columns": self.columns.astype(np.uint8 if small else np.uint16),
            "weights": self.weights,
            "scale": self.scale,
        }
        if dense_scale is not None:
            tensors["dense_scale"] = dense_scale
        said = json.dumps(self._metadata(), sort_keys=True)
        return safetensors.numpy.save(
            {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, {"headrace": said}
        )

    def _metadata(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "labels": self.labels,
            "embedding_weight": self.embedding_weight,
            "unseen": self.unseen,
            "tokens": self.ngrams.tokens,
            "characters": self.ngrams.characters,
            "temperature": self.temperature,
            "base": self.base,
            "delta": self.delta,
        }

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = HEAD_FILE) -> Head:
        """The head in head.safetensors; raises ArtifactError where the bytes are damaged or foreign."""
        try:
            return _head(_metadata_of(data), safetensors.numpy.load(data))
        except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ArtifactError(
                f"is damaged or no head of Headrace: {error}.",
                where=where,
                cure="Restore it from a backup, or train again.",
            ) from error


def softmax(logits: Floats) -> Floats:
    """Rows of probabilities."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def eight_bits(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """A matrix [n, K] as int8 times a scale per column; every product is exact in float32.

    The scale keeps 12 bits of its mantissa, so packing what was unpacked changes nothing.
    """
    largest = np.abs(matrix).max(axis=0, initial=0.0).astype(np.float32)
    mantissa, exponent = np.frexp(largest / np.float32(127))
    scale = np.ldexp(np.ceil(mantissa * 4096) / 4096, exponent).astype(np.float32)
    divisor = np.where(scale > 0, scale, 1)
    return np.clip(np.rint(matrix / divisor), -127, 127).astype(np.int8), scale


def _packed(dense: Floats) -> tuple[NDArray[Any], Floats | None]:
    packed, scale = eight_bits(dense)
    exact = np.array_equal(packed * scale, dense)
    return (packed, scale) if exact else (dense, None)


def _metadata_of(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    if length > len(data):
        raise ValueError("it is cut off")
    header = json.loads(data[8 : 8 + length])
    found = json.loads(header["__metadata__"]["headrace"])
    if found["format"] != FORMAT:
        raise ValueError(f"its format is {found['format']!r}")
    return dict(found)


def _head(said: Mapping[str, Any], tensors: dict[str, NDArray[Any]]) -> Head:
    if "dense_scale" in tensors:
        tensors["dense"] = tensors["dense"] * tensors["dense_scale"]
    for name, kind in _TENSORS.items():
        if tensors[name].dtype != kind or not np.isfinite(tensors[name]).all():
            raise ValueError(f"{name} holds what it cannot")
    head = Head(
        labels=tuple(str(label) for label in said["labels"]),
        dense=tensors["dense"],
        bias=tensors["bias"],
        embedding_weight=float(said["embedding_weight"]),
        keys=tensors["keys"],
        idf=tensors["idf"],
        unseen=int(said["unseen"]),
        starts=np.concatenate([[0], np.cumsum(tensors["counts"], dtype=np.int64)]).astype(np.int32),
        columns=tensors["columns"].astype(np.uint16),
        weights=tensors["weights"],
        scale=tensors["scale"],
        ngrams=NgramOptions(int(said["tokens"]), int(said["characters"])),
        temperature=float(said["temperature"]),
        base=str(said["base"]),
        delta=bool(said["delta"]),
    )
    _check(head)
    return head


def _check(head: Head) -> None:
    many, nonzero = len(head.labels), len(head.weights)
    fits = (
        many == len(set(head.labels)) > 0
        and head.dense.ndim == 2
        and head.dense.shape[1] == many
        and head.bias.shape == head.scale.shape == (many,)
        and head.keys.shape == head.idf.shape == (len(head.starts) - 1,)
        and head.columns.shape == head.weights.shape == (head.starts[-1],)
        and bool((np.diff(head.keys.astype(np.int64)) > 0).all())
        and (nonzero == 0 or int(head.columns.max()) < many)
        and head.temperature > 0
        and bool(np.isfinite([head.temperature, head.embedding_weight]).all())
        and 0 < head.unseen < 256
        and 0 <= head.ngrams.tokens <= 5
        and 0 <= head.ngrams.characters <= 8
    )
    if not fits:
        raise ValueError("its parts do not fit each other")
