"""The channel's own words: hashed 1-2-grams of the base's token ids, and of characters where asked.

Hashing into 2^16 buckets (Weinberger et al. 2009) makes a key 16 bits, so a table of keys costs two bytes a
word and needs no vocabulary. Weights are (1 + log tf) x idf with rows of norm 1, as in TF-IDF.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

BUCKETS = 1 << 16
IDF_STEP = 16
"""An inverse document frequency is stored as a byte, in sixteenths."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(1000003)
_TOKENS, _CHARACTERS = np.uint64(7), np.uint64(0x5BD1E995)
_HAN = ((0x3400, 0x9FFF), (0x20000, 0x3FFFF))


@dataclass(frozen=True)
class NgramOptions:
    """Longest n-gram of tokens and of characters; 0 leaves that kind out."""

    tokens: int = 2
    characters: int = 0


@dataclass(frozen=True)
class Grams:
    """The distinct n-grams of a batch, sorted by row, then key: row number, bucket and how often."""

    rows: NDArray[np.int64]
    keys: NDArray[np.int64]
    times: NDArray[np.float32]
    count: int

    def matrix(self) -> sparse.csr_matrix:
        """[rows, 2^16] of 1 + log tf, in float32."""
        ends = np.searchsorted(self.rows, np.arange(self.count + 1))
        values = (1 + np.log(self.times)).astype(np.float32)
        return sparse.csr_matrix((values, self.keys, ends), shape=(self.count, BUCKETS))


def grams(token_ids: Sequence[NDArray[np.int32]], texts: Sequence[str], options: NgramOptions) -> Grams:
    """The n-grams of a batch. A row's depend on that row alone.

    `token_ids` are the ids as the base reads them, special tokens and prefix included; `texts` are read only
    where `options.characters` asks for them.
    """
    parts = [_hashed(token_ids, options.tokens, _TOKENS)] if options.tokens else []
    if options.characters:
        parts.append(_hashed([_points(text) for text in texts], options.characters, _CHARACTERS))
    empty = np.zeros(0, np.int64)
    joined = np.concatenate([empty, *parts])
    both, times = np.unique(joined, return_counts=True)
    count = len(token_ids) if options.tokens else len(texts)
    return Grams(both >> 16, both & (BUCKETS - 1), times.astype(np.float32), count)


def grams_of(
    token_ids: NDArray[np.int32], text: str, options: NgramOptions
) -> tuple[NDArray[np.uint16], NDArray[np.float32] | None]:
    """What `grams` finds in one row, sooner: its distinct keys, sorted, and how often; None says once each."""
    parts = list(_buckets(token_ids.astype(np.uint64), options.tokens, _TOKENS)) if options.tokens else []
    if options.characters:
        parts += _buckets(_points(text), options.characters, _CHARACTERS)
    keys = np.concatenate(parts).astype(np.uint16) if parts else np.zeros(0, np.uint16)
    keys.sort()
    first = keys[1:] != keys[:-1]
    if first.all():
        return keys, None
    begins = np.flatnonzero(np.concatenate([[True], first]))
    return keys[begins], np.diff(begins, append=len(keys)).astype(np.float32)


def inverse_frequency(matrix: sparse.csr_matrix) -> NDArray[np.uint8]:
    """[2^16] of log((1 + rows) / (1 + rows with it)) + 1, in sixteenths of a byte."""
    seen = matrix.getnnz(axis=0)
    return bytes_of(np.log((1 + matrix.shape[0]) / (1 + seen)) + 1)


def bytes_of(idf: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Inverse document frequencies as bytes, in sixteenths."""
    return np.clip(np.rint(idf * IDF_STEP), 1, 255).astype(np.uint8)


def weighted(matrix: sparse.csr_matrix, idf: NDArray[np.uint8]) -> sparse.csr_matrix:
    """Rows of 1 + log tf times idf, each of norm 1; an empty row stays empty."""
    scaled = matrix.copy()
    scaled.data *= (idf / np.float32(IDF_STEP)).astype(np.float32)[matrix.indices]
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    squares = np.bincount(rows, weights=scaled.data.astype(np.float64) ** 2, minlength=matrix.shape[0])
    scaled.data /= np.sqrt(np.maximum(squares, 1e-12)).astype(np.float32)[rows]
    return scaled


def mostly_han(texts: Sequence[str]) -> bool:
    """Whether most letters of these texts are Chinese characters."""
    points = np.concatenate([np.zeros(0, np.uint64), *(_points(text) for text in texts)])
    han = sum(int(((points >= low) & (points <= high)).sum()) for low, high in _HAN)
    return han * 2 > int((points > 0x40).sum())


def _points(text: str) -> NDArray[np.uint64]:
    """Code points of a text in one spelling (NFKC, lower case), a space at either end."""
    plain = f" {unicodedata.normalize('NFKC', text).lower()} "
    return np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)


def _hashed(
    sequences: Sequence[NDArray[np.int32] | NDArray[np.uint64]], longest: int, salt: np.uint64
) -> NDArray[np.int64]:
    """row * 2^16 + bucket for each 1..longest-gram of each sequence."""
    lengths = np.fromiter((len(one) for one in sequences), np.int64, len(sequences))
    flat = np.concatenate([np.zeros(0, np.uint64), *(one.astype(np.uint64) for one in sequences)])
    rows = np.repeat(np.arange(len(sequences)), lengths)
    found = []
    for n, buckets in enumerate(_buckets(flat, longest, salt)):
        whole = rows[n:] == rows[: len(rows) - n]
        found.append(((rows[n:] << 16) | buckets.astype(np.int64))[whole])
    return np.concatenate(found)


def _buckets(flat: NDArray[np.uint64], longest: int, salt: np.uint64) -> Iterator[NDArray[np.uint64]]:
    """The buckets of all n-grams of one sequence, for n = 1, 2, ... as long as there are any."""
    running = flat + salt
    for n in range(longest):
        if n:
            running = running[:-1] * _STEP
            running += flat[n:]
            running += salt
        yield (running * _MIX) >> np.uint64(48)
        if len(running) < 2:
            break
