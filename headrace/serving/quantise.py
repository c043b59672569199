"""Static int8 for the products of a graph: ranges seen on sample texts, SmoothQuant, 8-bit columns.

Every scale is a constant, so a row's numbers depend on that row alone; scales taken from the batch would let
its mates move them. Behind a LayerNorm or a GELU, channels that range widely are divided before they are
rounded and their weights multiplied (SmoothQuant, Xiao et al. 2023, arXiv 2211.10438): 1 % of the time, and
of what rounding turns an embedding by, the larger part. A range is cut where the mean squared error of
rounding is least, for a few far values would make all others coarse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.serving.graph import open_session
from headrace.serving.onnx_graph import MS, Builder
from headrace.serving.weights import Array

Ids = npt.NDArray[np.int32]
ROWS, TOKENS = 512, 8192  # texts and tokens that a calibration reads at most
ENOUGH = 256  # texts that are enough to calibrate on alone
_KEPT, _BATCH, _BINS, _TINY = 2048, 16, 8192, 1e-5
_ALPHA = 0.7  # how much of the spread moves into the weights
_CUTS = np.linspace(0.3, 1, 15)


@dataclass(frozen=True)
class Seen:
    """What a tensor held: `low` and `high` [c] per channel over all tokens, `sample` [n, c] of its tokens."""

    low: Array
    high: Array
    sample: Array


@dataclass(frozen=True)
class Grid:
    """How a tensor is rounded: divided by `smoothing` [c] (None: by nothing), then (x / scale + zero)."""

    scale: np.float32
    zero: np.uint8
    smoothing: Array | None = None


def observe(graph: bytes, places: Sequence[str], texts: Sequence[Ids]) -> dict[str, Seen]:
    """What the outputs `places` of a float graph hold over `texts`, of which at most `TOKENS` are read."""
    session = open_session(graph, threads=1)
    found: dict[str, list[Seen]] = {place: [] for place in places}
    batches = _batches(texts)
    every = max(1, sum(batch.size for batch in batches) // _KEPT)
    for batch in batches:
        feed = {"input_ids": batch, "attention_mask": np.ones_like(batch)}
        for place, value in zip(places, session.run(list(places), feed), strict=True):
            seen = np.asarray(value)
            tokens = seen.reshape(-1, seen.shape[-1])
            found[place].append(Seen(tokens.min(axis=0), tokens.max(axis=0), tokens[::every].copy()))
    return {place: _joined(parts) for place, parts in found.items()}


def _batches(texts: Sequence[Ids]) -> list[npt.NDArray[np.int64]]:
    """Texts of one length together, so that nothing is padded and no padding is seen."""
    groups: dict[int, list[Ids]] = {}
    left = TOKENS
    for ids in texts[:ROWS]:
        if left <= 0:
            break
        left -= len(ids)
        groups.setdefault(len(ids), []).append(ids)
    return [
        np.array(rows[i : i + _BATCH], np.int64)
        for _, rows in sorted(groups.items())
        for i in range(0, len(rows), _BATCH)
    ]


def _joined(parts: Sequence[Seen]) -> Seen:
    low, high = (np.stack([getattr(part, end) for part in parts]) for end in ("low", "high"))
    return Seen(low.min(axis=0), high.max(axis=0), np.concatenate([part.sample for part in parts]))


def grid(seen: Seen, weights: Sequence[Array], *, smooth: bool, spare: float | None = None) -> Grid:
    """How to round a tensor that `weights` [c, out] read.

    `spare` widens the whole range seen by that factor and cuts nothing: deltas will move the values.
    """
    divisor = _smoothing(seen, weights) if smooth else np.ones(1, np.float32)
    low, high = min(float((seen.low / divisor).min()), 0.0), max(float((seen.high / divisor).max()), _TINY)
    if spare is None:
        low, high = _cut((seen.sample / divisor).ravel(), low, high)
    else:
        low, high = low * spare, high * spare
    scale = np.float32((high - low) / 255)
    return Grid(scale, np.uint8(np.rint(-low / scale)), divisor if smooth else None)


def _smoothing(seen: Seen, weights: Sequence[Array]) -> Array:
    """[c] what each channel is divided by; its geometric mean is 1."""
    reach = np.maximum(np.maximum(-seen.low, seen.high), _TINY)
    weight = np.maximum(np.max([np.abs(w).max(axis=1) for w in weights], axis=0), _TINY)
    logarithm = _ALPHA * np.log(reach) - (1 - _ALPHA) * np.log(weight)
    return np.asarray(np.exp(np.clip(logarithm - logarithm.mean(), -3, 3)), np.float32)


def _cut(values: Array, low: float, high: float) -> tuple[float, float]:
    """The share of a range, on either side, that rounds `values` with the least squared error."""
    counts, edges = np.histogram(values, _BINS, (low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    tries = [(low * a, high * b) for a in (_CUTS if low < 0 else (1.0,)) for b in _CUTS]
    return min(tries, key=lambda ends: _error(centres, counts, *ends))


def _error(centres: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], low: float, high: float) -> float:
    step = (high - low) / 255
    zero = np.rint(-low / step)
    rounded = (np.clip(np.rint(centres / step) + zero, 0, 255) - zero) * step
    return float(np.square(rounded - centres) @ counts)


def eight_bit_columns(weight: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """`weight` [in, out] as int8 and the scale [out] of each column, symmetric about zero."""
    scale = np.maximum(np.abs(weight).max(axis=0), np.float32(1e-12)) / np.float32(127)
    return np.rint(weight / scale).astype(np.int8), np.asarray(scale, np.float32)


class Int8:
    """Writes products of a graph in int8; a tensor that several products read is rounded once."""

    def __init__(self, builder: Builder, grids: Mapping[str, Grid]) -> None:
        self._g, self._grids = builder, grids
        self._rounded: dict[str, str] = {}

    def product(self, place: str, x: str, name: str, weight: Array, bias: Array) -> str:
        """x @ weight + bias, of the tensor `x` at `place`."""
        grid = self._grids[place]
        if place not in self._rounded:
            self._rounded[place] = self._round(place, grid, x)
        if grid.smoothing is not None:
            weight = weight * grid.smoothing[:, None]
        packed, scale = eight_bit_columns(weight)
        return self._g.op(
            "MatMulIntegerToFloat",
            self._rounded[place],
            self._g.constant(f"{name}.weight", packed),
            f"{place}.scale",
            self._g.constant(f"{name}.scale", scale),
            f"{place}.zero",
            "",
            self._g.constant(f"{name}.bias", bias),
            domain=MS,
        )

    def _round(self, place: str, grid: Grid, x: str) -> str:
        if grid.smoothing is not None:
            x = self._g.op("Mul", x, self._g.constant(f"{place}.smoothing", 1 / grid.smoothing))
        scale = self._g.constant(f"{place}.scale", grid.scale)
        return self._g.op("QuantizeLinear", x, scale, self._g.constant(f"{place}.zero", grid.zero))


class Float32:
    """Writes products of a graph in float32."""

    def __init__(self, builder: Builder) -> None:
        self._g = builder

    def product(self, place: str, x: str, name: str, weight: Array, bias: Array) -> str:
        """x @ weight + bias, of the tensor `x` at `place`."""
        y = self._g.op("MatMul", x, self._g.constant(f"{name}.weight", weight))
        return self._g.op("Add", y, self._g.constant(f"{name}.bias", bias))
