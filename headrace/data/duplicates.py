"""Near-duplicates: MinHash of character 5-grams, banding, and the true Jaccard index of what a band joins.

MinHash: Broder 1997, "On the resemblance and containment of documents"; bands: Leskovec, Rajaraman, Ullman,
"Mining of Massive Datasets", chapter 3. Signatures are never stored: they are made again from the texts.
"""

from __future__ import annotations

import importlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

GRAM = 5
PERMUTATIONS = 128
CANDIDATES = 16
RECALL = 0.99
_SEED = 1
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)

U64 = npt.NDArray[np.uint64]


def grams(text: str) -> frozenset[str]:
    """The character 5-grams of a text; a shorter text is one of its own."""
    return frozenset(text[i : i + GRAM] for i in range(max(len(text) - GRAM + 1, 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Size of the intersection over size of the union; 1 for two empty sets."""
    together = len(one | other)
    return len(one & other) / together if together else 1.0


def bands_for(threshold: float) -> tuple[int, int]:
    """Bands, and rows a band, that join at least 99 % of the pairs at `threshold`; the fewest such bands."""
    for rows in range(PERMUTATIONS // 4, 1, -1):
        bands = PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= RECALL:
            return bands, rows
    return PERMUTATIONS // 2, 2


class NearIndex:
    """Texts of one task by band. Some 160 bytes a text: 8 a band, and its id.

    An entry packs 32 bits of a band's hash over the number of its text, so that sorted runs answer "who else"
    by binary search. Runs merge as they grow, one band at a time.
    """

    def __init__(self, threshold: float) -> None:
        self.bands, self._rows = bands_for(threshold)
        self._runs: list[list[U64]] = []
        self._ids: list[npt.NDArray[np.bytes_]] = []
        self._starts: list[int] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, ids: Sequence[str], texts: Sequence[str]) -> list[list[str]]:
        """Add normalised texts; for each, the ids of earlier ones that may be near it, earliest first."""
        if not ids:
            return []
        keys = self._keys(texts)
        found = [self._older(row) if self._runs else Counter[int]() for row in self._looked_up(keys)]
        self._within(keys, found)
        self._append(ids, keys)
        return [[self._id(number) for number in _earliest(counts)] for counts in found]

    def _keys(self, texts: Sequence[str]) -> U64:
        """Hashes of the bands, 32 bits each, shape (texts, bands)."""
        digests = signatures(texts)[:, : self.bands * self._rows].astype(np.uint64)
        parts = digests.reshape(len(texts), self.bands, self._rows)
        factors = _mixed(np.arange(1, self._rows + 1, dtype=np.uint64)) | np.uint64(1)
        return _mixed((parts * factors).sum(axis=2, dtype=np.uint64)) >> _SHIFT

    def _looked_up(self, keys: U64) -> list[list[U64]]:
        """For each text, the slices of the runs that share a band with it."""
        hits: list[list[U64]] = [[] for _ in range(len(keys))]
        for run in self._runs:
            for band, entries in enumerate(run):
                low = keys[:, band] << _SHIFT
                starts = np.searchsorted(entries, low, side="left")
                ends = np.searchsorted(entries, low | _LOW, side="right")
                for i in np.flatnonzero(ends > starts):
                    hits[i].append(entries[starts[i] : min(ends[i], starts[i] + CANDIDATES)])
        return hits

    def _older(self, slices: list[U64]) -> Counter[int]:
        return Counter(int(entry & _LOW) for entries in slices for entry in entries)

    def _within(self, keys: U64, found: list[Counter[int]]) -> None:
        """Count the bands that texts of the same call share with earlier ones."""
        for band in range(self.bands):
            seen: dict[int, list[int]] = {}
            for i, key in enumerate(keys[:, band].tolist()):
                earlier = seen.setdefault(key, [])
                if earlier:
                    found[i].update(earlier)
                if len(earlier) < CANDIDATES:
                    earlier.append(self._size + i)

    def _append(self, ids: Sequence[str], keys: U64) -> None:
        numbers = np.arange(self._size, self._size + len(ids), dtype=np.uint64)
        self._runs.append([np.sort((keys[:, band] << _SHIFT) | numbers) for band in range(self.bands)])
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= len(self._runs[-1][0]):
            _merge(self._runs)
        self._starts.append(self._size)
        self._ids.append(np.array([name.encode() for name in ids]))
        self._size += len(ids)

    def _id(self, number: int) -> str:
        chunk = bisect_right(self._starts, number) - 1
        return bytes(self._ids[chunk][number - self._starts[chunk]]).decode()


def signatures(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    """MinHash signatures of the character 5-grams of texts, shape (texts, 128)."""
    # Its module is compiled and says nothing of its types.
    minhash: Any = importlib.import_module("rensa").RMinHash
    padded = [text.ljust(GRAM, "\x00") for text in texts]
    lengths = np.array([len(text) for text in padded])
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    spread = points.astype(np.uint64)
    factors = _mixed(np.arange(101, 101 + GRAM, dtype=np.uint64)) | np.uint64(1)
    hashes = np.zeros(len(points), dtype=np.uint64)
    for i, factor in enumerate(factors):
        hashes[: len(points) - i] += spread[i:] * factor
    # The last four positions of a text start grams that would reach into the next one.
    ends = np.cumsum(lengths)
    whole = np.ones(len(points), dtype=bool)
    for back in range(1, GRAM):
        whole[ends - back] = False
    offsets = np.concatenate([[0], np.cumsum(lengths - GRAM + 1)]).astype(np.uint64)
    tokens = _mixed(hashes[whole])
    matrix = minhash.digest_matrix_from_flat_token_hashes(tokens, offsets, PERMUTATIONS, _SEED)
    return np.asarray(matrix.to_rows(), dtype=np.uint32)


def _mixed(values: U64) -> U64:
    """Every bit depends on every bit (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _merge(runs: list[list[U64]]) -> None:
    """Make the last two runs one, holding two copies of one band alone."""
    last = runs.pop()
    for band, entries in enumerate(last):
        joined = np.concatenate([runs[-1][band], entries])
        joined.sort()
        runs[-1][band] = joined


def _earliest(counts: Counter[int]) -> Iterable[int]:
    """The candidates with the most bands in common, in the order in which they came."""
    return sorted(number for number, _ in counts.most_common(CANDIDATES))
