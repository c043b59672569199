"""A frozen base -> our own ONNX graph: token ids in, L2-normalised embedding out, nothing else.

Written by hand, operator by operator, so that it holds what serving needs and no more: position and
token-type embeddings are one table, residuals plain Add + LayerNormalization (onnxruntime's fused
SkipLayerNormalization is slower), a big embedding table 8 bits with a scale per row. Products are in int8
with constant scales unless float32 is asked for. With `delta_sites` the low-rank deltas (LoRA, Hu et al.
2021) of many adapters are inputs of the graph, gathered per row: rows of different adapters share a batch,
and adapters come and go without a new graph. They are added in float32.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Literal, Protocol

import numpy as np

from headrace.errors import ArtifactError, InputError
from headrace.models.base import BaseFolder, tokenise
from headrace.models.delta import Delta
from headrace.serving.deltas import Site, bank_inputs, groups_of
from headrace.serving.onnx_graph import BOOL, FLOAT, INT64, MS, Builder
from headrace.serving.quantise import ENOUGH, Float32, Grid, Int8, Seen, grid, observe
from headrace.serving.weights import (
    ATTENTION_OUT,
    DOWN,
    KEY,
    MODULES,
    QUERY,
    UP,
    VALUE,
    Array,
    Bert,
    merge,
    read_bert,
)

Precision = Literal["int8", "fp32"]
BIG_VOCABULARY = 100_000
_SPARE = 1.25  # room in the ranges of layers that deltas change, which calibration has not seen
_READ_BY = {"in": (QUERY, KEY, VALUE), "attended": (ATTENTION_OUT,), "middle": (UP,), "up": (DOWN,)}


def export(
    base: BaseFolder,
    delta_sites: Iterable[Site] = (),
    *,
    longest: int | None = None,
    prefix: str | None = None,
    precision: Precision = "int8",
    texts: Sequence[str] = (),
    merged: Delta | None = None,
) -> dict[str, bytes]:
    """The files that serve `base`: "graph.onnx", "tokenizer.json" and "base.json"; the same bytes every time.

    `delta_sites` are the (layer, module)s that adapters may change, `longest` the tokens read of a text (all
    positions of the base by default), `prefix` what stands before each text (the base's own by default).
    int8 is calibrated on the first 512 of `texts`, and on a packaged sample where these are fewer than 256.
    `merged` is a delta put into the weights for good. Raises MissingExtra without onnx, ArtifactError for a
    folder that cannot be read, InputError for sites that the base does not have.
    """
    bert = read_bert(base)
    sites = sorted({(int(layer), module) for layer, module in delta_sites})
    for site in (*sites, *(merged.factors if merged else ())):
        _check_site(site, len(bert.layers))
    bert = merge(bert, merged) if merged else bert
    tokens = min(longest or len(bert.positions), len(bert.positions))
    before = base.prefix if prefix is None else prefix
    settings = {
        "fingerprint": base.fingerprint,
        "hidden": bert.hidden,
        "longest": tokens,
        "pooling": base.pooling,
        "precision": precision,
        "prefix": before,
        "sites": [list(site) for site in sites],
    }
    tokenizer = _tokenizer(base)
    if precision == "fp32":
        graph = _Writer(bert, sites).to_bytes()
    else:
        # Few rows do not show what activations can be: the packaged sample joins them.
        chosen = texts if len(texts) >= ENOUGH else [*texts, *_sample()]
        ids = tokenise(base.tokenizer(tokens), chosen, before)
        seen = observe(_Writer(bert, watched=True).to_bytes(), _places(bert), ids)
        graph = _Writer(bert, sites, grids=_grids(bert, seen, sites)).to_bytes()
    said = json.dumps(settings, sort_keys=True, ensure_ascii=False).encode()
    return {"graph.onnx": graph, "tokenizer.json": tokenizer, "base.json": said}


def _sample() -> list[str]:
    """Questions, reviews and headlines, half of them English and half Chinese."""
    return resources.files("headrace.serving").joinpath("calibration.txt").read_text("utf-8").splitlines()


def _tokenizer(base: BaseFolder) -> bytes:
    path = base.path / "tokenizer.json"
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}.", where=str(path)) from error


def _check_site(site: Site, layers: int) -> None:
    if site[1] not in MODULES or not 0 <= site[0] < layers:
        raise InputError(
            f"the base has no module {site[1]!r} in layer {site[0]}.",
            cure=f"Layers are 0 to {layers - 1}, modules {', '.join(MODULES)}.",
        )


def _places(bert: Bert) -> list[str]:
    """The tensors that products read, by the names under which they are rounded."""
    return [f"{number}.{place}" for number in range(len(bert.layers)) for place in _READ_BY]


def _grids(bert: Bert, seen: Mapping[str, Seen], sites: Sequence[Site]) -> dict[str, Grid]:
    lowest = min((layer for layer, _ in sites), default=len(bert.layers))
    found = {}
    for number, layer in enumerate(bert.layers):
        for place, modules in _READ_BY.items():
            name, weights = f"{number}.{place}", [layer.weight[module] for module in modules]
            spare = _SPARE if number >= lowest else None
            found[name] = grid(seen[name], weights, smooth=place != "attended", spare=spare)
    return found


class _Products(Protocol):
    def product(self, place: str, x: str, name: str, weight: Array, bias: Array) -> str: ...


class _Writer:
    """The graph of an encoder; `watched` makes outputs of the tensors that int8 would round."""

    def __init__(
        self,
        bert: Bert,
        sites: Sequence[Site] = (),
        *,
        grids: Mapping[str, Grid] | None = None,
        watched: bool = False,
    ) -> None:
        self._g, self._bert, self._watched = Builder(), bert, watched
        self._products: _Products = Int8(self._g, grids) if grids else Float32(self._g)
        self._ids = self._g.input("input_ids", ["B", "S"], INT64)
        self._mask = self._g.input("attention_mask", ["B", "S"], INT64)
        self._deltas = _Deltas(self._g, bert, sites)

    def to_bytes(self) -> bytes:
        """The serialised graph."""
        keys, x = self._keys(), self._embed()
        for number in range(len(self._bert.layers)):
            x = self._layer(number, x, keys)
        self._g.output(self._normalise(self._pool(x)), "embedding", ["B", self._bert.hidden])
        return self._g.to_bytes()

    def _keys(self) -> str:
        """[B, 1, S, S] what is added to attention scores: nothing, or enough to silence padding."""
        g, shape = self._g, self._g.op("Shape", self._ids)
        rows, length = (g.op("Slice", shape, g.ints(i), g.ints(i + 1)) for i in range(2))
        silent = g.constant("silent", np.array(-1e4, np.float32))
        there = g.op("Unsqueeze", g.op("Cast", self._mask, to=BOOL), g.ints(1, 2))
        scores = g.op("Where", there, g.constant("heard", np.array(0, np.float32)), silent)
        return g.op("Expand", scores, g.op("Concat", rows, g.ints(1), length, length, axis=0))

    def _embed(self) -> str:
        g, bert = self._g, self._bert
        length = g.op("Slice", g.op("Shape", self._ids), g.ints(1), g.ints(2))
        positions = g.op("Slice", g.constant("positions", bert.positions), g.ints(0), length)
        return self._norm("embedding_norm", g.op("Add", self._words(), positions), bert.norm)

    def _words(self) -> str:
        g, words = self._g, self._bert.words
        if len(words) <= BIG_VOCABULARY:
            return g.op("Gather", g.constant("words", words), self._ids)
        scale = np.maximum(np.abs(words).max(axis=1, keepdims=True), 1e-12) / 127
        table = g.constant("words", np.rint(words / scale).astype(np.int8))
        rows = g.op("Cast", g.op("Gather", table, self._ids), to=FLOAT)
        scales = g.constant("word_scales", scale.astype(np.float32))
        return g.op("Mul", rows, g.op("Gather", scales, self._ids))

    def _layer(self, number: int, x: str, keys: str) -> str:
        g, layer = self._g, self._bert.layers[number]
        q, k, v = self._linear(number, "in", x)
        heads = self._bert.heads
        attended = g.op("Attention", q, k, v, keys, q_num_heads=heads, kv_num_heads=heads)
        x = g.op("Add", *self._linear(number, "attended", attended), x)
        x = self._norm(f"{number}.attention_norm", x, layer.norms[0])
        up = g.op("Gelu", *self._linear(number, "middle", x), domain=MS)
        x = g.op("Add", *self._linear(number, "up", up), x)
        return self._norm(f"{number}.output_norm", x, layer.norms[1])

    def _linear(self, number: int, place: str, x: str) -> list[str]:
        """What the modules that read the tensor `x` at `place` make of it, deltas included."""
        layer, name = self._bert.layers[number], f"{number}.{place}"
        if self._watched:
            self._g.output(x, name, ["B", "S", "width"])
        products = {
            module: self._products.product(
                name, x, f"{number}.{module}", layer.weight[module], layer.bias[module]
            )
            for module in _READ_BY[place]
        }
        return list(self._deltas.add(number, x, products).values())

    def _norm(self, name: str, x: str, norm: tuple[Array, Array]) -> str:
        gain, bias = self._g.constant(f"{name}.gain", norm[0]), self._g.constant(f"{name}.bias", norm[1])
        return self._g.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=self._bert.epsilon)

    def _pool(self, x: str) -> str:
        g = self._g
        weights = g.op("Unsqueeze", g.op("Cast", self._mask, to=FLOAT), g.ints(1))
        # A sum, not the mean: the embedding is normalised next, so the division would change nothing.
        return g.op("Squeeze", g.op("MatMul", weights, x), g.ints(1))

    def _normalise(self, pooled: str) -> str:
        g = self._g
        length = g.op("ReduceL2", pooled, g.ints(1), keepdims=1)
        return g.op("Div", pooled, g.op("Max", length, g.constant("tiny", np.array(1e-12, np.float32))))


class _Deltas:
    """The low-rank deltas of the rows of a batch, where a site has one."""

    def __init__(self, g: Builder, bert: Bert, sites: Sequence[Site]) -> None:
        self._g, self._groups = g, list(groups_of(sites).values())
        self._rows = g.input("adapter_index", ["B"], INT64) if sites else ""
        for group in self._groups:
            a, width = bank_inputs(group[0])[0], bert.layers[group[0][0]].weight[group[0][1]].shape[0]
            g.input(a, ["N", width, f"ranks_{a}"], FLOAT)
            for layer, module in group:
                b = bank_inputs((layer, module))[1]
                g.input(b, ["N", f"rank_{a}", bert.layers[layer].weight[module].shape[1]], FLOAT)

    def add(self, layer: int, x: str, products: dict[str, str]) -> dict[str, str]:
        """Each product of `x` by module, with x A[row] B[row] added where the module is a site."""
        g = self._g
        for group in self._groups:
            if group[0][0] != layer or group[0][1] not in products:
                continue
            a = g.op("Gather", bank_inputs(group[0])[0], self._rows, axis=0)
            low = g.op("MatMul", x, a)
            parts = (
                [low]
                if len(group) == 1
                else g.many("Split", len(group), low, axis=-1, num_outputs=len(group))
            )
            for (_, module), part in zip(group, parts, strict=True):
                b = g.op("Gather", bank_inputs((layer, module))[1], self._rows, axis=0)
                products[module] = g.op("Add", products[module], g.op("MatMul", part, b))
        return products
