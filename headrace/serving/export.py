"""A frozen base -> our own ONNX graph: token ids in, L2-normalised embedding out, nothing else.

Written by hand, operator by operator, so that it holds what serving needs and no more: position and
token-type embeddings are one table, Q, K and V one product, residuals plain Add + LayerNormalization
(onnxruntime's fused SkipLayerNormalization is slower), a big embedding table 8 bits with a scale per row.
With `delta_sites` the low-rank deltas (LoRA, Hu et al. 2021) of many adapters are inputs of the graph,
gathered per row: rows of different adapters share a batch, and adapters come and go without a new graph.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import ArtifactError, InputError, MissingExtra
from headrace.models.base import BaseFolder
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
    read_bert,
)

Site = tuple[int, str]
BIG_VOCABULARY = 100_000
_MS = "com.microsoft"


def export(
    base: BaseFolder,
    delta_sites: Iterable[Site] = (),
    *,
    longest: int | None = None,
    prefix: str | None = None,
) -> dict[str, bytes]:
    """The files that serve `base`: "graph.onnx", "tokenizer.json" and "base.json"; the same bytes every time.

    `delta_sites` are the (layer, module)s that adapters may change, `longest` the tokens read of a text (all
    positions of the base by default), `prefix` what stands before each text (the base's own by default).
    Raises MissingExtra without onnx, ArtifactError for a folder that cannot be read, InputError for sites
    that the base does not have.
    """
    onnx = _onnx()
    bert = read_bert(base)
    sites = sorted({(int(layer), module) for layer, module in delta_sites})
    _check_sites(sites, len(bert.layers))
    graph = _encoder(_Graph(onnx), bert, sites)
    tokens = min(longest or len(bert.positions), len(bert.positions))
    settings = {
        "fingerprint": base.fingerprint,
        "hidden": bert.hidden,
        "longest": tokens,
        "pooling": base.pooling,
        "precision": "float32",
        "prefix": base.prefix if prefix is None else prefix,
        "sites": [list(site) for site in sites],
    }
    return {
        "graph.onnx": graph,
        "tokenizer.json": _tokenizer(base),
        "base.json": json.dumps(settings, sort_keys=True, ensure_ascii=False).encode(),
    }


def bank_inputs(site: Site) -> tuple[str, str]:
    """The names of the graph inputs that hold A [N, in, r] and B [N, r, out] of a site."""
    return f"A.{site[0]}.{site[1]}", f"B.{site[0]}.{site[1]}"


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ModuleNotFoundError as error:
        raise MissingExtra("Exporting a base", "train") from error


def _tokenizer(base: BaseFolder) -> bytes:
    path = base.path / "tokenizer.json"
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}.", where=str(path)) from error


def _check_sites(sites: Sequence[Site], layers: int) -> None:
    for layer, module in sites:
        if module not in MODULES or not 0 <= layer < layers:
            raise InputError(
                f"the base has no module {module!r} in layer {layer}.",
                cure=f"Layers are 0 to {layers - 1}, modules {', '.join(MODULES)}.",
            )


class _Graph:
    """Nodes and constants of a graph under construction; names are numbers in the order of building."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []

    def input(self, name: str, shape: Sequence[str | int], kind: str = "INT64") -> str:
        """Declare a graph input."""
        self._inputs.append(self._value(name, kind, shape))
        return name

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """Store `array` once under `name`."""
        if name not in self._constants:
            self._constants[name] = self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def ints(self, *values: int) -> str:
        """A vector of int64."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output and return that output's name."""
        return self.many(kind, 1, *inputs, **attributes)[0]

    def many(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node of several outputs."""
        name = f"{kind}_{len(self._nodes)}"
        names = [f"{name}_{i}" for i in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, names, name=name, **attributes))
        return names

    def to_bytes(self, output: str, shape: Sequence[str | int]) -> bytes:
        """The serialised model whose only output is `output`, called "embedding"."""
        make = self._onnx.helper
        self._nodes.append(make.make_node("Identity", [output], ["embedding"], name="embedding"))
        graph = make.make_graph(
            self._nodes,
            "headrace",
            self._inputs,
            [self._value("embedding", "FLOAT", shape)],
            list(self._constants.values()),
        )
        opsets = [make.make_opsetid("", 17), make.make_opsetid(_MS, 1)]
        model = make.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="headrace")
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _value(self, name: str, kind: str, shape: Sequence[str | int]) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, getattr(self._onnx.TensorProto, kind), shape)


def _encoder(g: _Graph, bert: Bert, sites: Sequence[Site]) -> bytes:
    ids, mask = g.input("input_ids", ["B", "S"]), g.input("attention_mask", ["B", "S"])
    deltas = _Deltas(g, bert, sites)
    x = _embed(g, bert, ids)
    keys = g.op("Cast", mask, to=6)
    for number in range(len(bert.layers)):
        x = _layer(g, bert, number, x, keys, deltas)
    return g.to_bytes(_normalise(g, _pool(g, x, mask)), ["B", bert.hidden])


class _Deltas:
    """The low-rank deltas of the rows of a batch, where a site has one."""

    def __init__(self, g: _Graph, bert: Bert, sites: Sequence[Site]) -> None:
        self._g, self._sites = g, set(sites)
        self._rows = g.input("adapter_index", ["B"]) if sites else ""
        for site in sites:
            weight = bert.layers[site[0]].weight[site[1]]
            a, b = bank_inputs(site)
            g.input(a, ["N", weight.shape[0], f"rank_{a}"], "FLOAT")
            g.input(b, ["N", f"rank_{a}", weight.shape[1]], "FLOAT")

    def touch(self, layer: int, modules: Sequence[str]) -> bool:
        """Whether any of `modules` in `layer` is adapted."""
        return any((layer, module) in self._sites for module in modules)

    def add(self, site: Site, x: str, y: str) -> str:
        """y + x A[row] B[row]; `y` itself where the site is not adapted."""
        if site not in self._sites:
            return y
        a, b = (self._g.op("Gather", name, self._rows, axis=0) for name in bank_inputs(site))
        return self._g.op("Add", y, self._g.op("MatMul", self._g.op("MatMul", x, a), b))


def _embed(g: _Graph, bert: Bert, ids: str) -> str:
    length = g.op("Gather", g.op("Shape", ids), g.ints(1), axis=0)
    positions = g.op("Slice", g.constant("positions", bert.positions), g.ints(0), length)
    return _norm(
        g, "embedding_norm", g.op("Add", _words(g, bert.words, ids), positions), bert.norm, bert.epsilon
    )


def _words(g: _Graph, words: Array, ids: str) -> str:
    if len(words) <= BIG_VOCABULARY:
        return g.op("Gather", g.constant("words", words), ids)
    scale = np.maximum(np.abs(words).max(axis=1, keepdims=True), 1e-12) / 127
    table = g.constant("words", np.rint(words / scale).astype(np.int8))
    rows = g.op("Cast", g.op("Gather", table, ids), to=1)
    return g.op("Mul", rows, g.op("Gather", g.constant("word_scales", scale.astype(np.float32)), ids))


def _layer(g: _Graph, bert: Bert, number: int, x: str, keys: str, deltas: _Deltas) -> str:
    layer = bert.layers[number]

    def linear(module: str, x: str) -> str:
        y = g.op("MatMul", x, g.constant(f"{number}.{module}.weight", layer.weight[module]))
        y = deltas.add((number, module), x, y)
        return g.op("Add", y, g.constant(f"{number}.{module}.bias", layer.bias[module]))

    attended = _attention(g, bert, number, x, keys, deltas)
    x = g.op("Add", linear(ATTENTION_OUT, attended), x)
    x = _norm(g, f"{number}.attention_norm", x, layer.norms[0], bert.epsilon)
    up = g.op("MatMul", x, g.constant(f"{number}.up.weight", layer.weight[UP]))
    up = deltas.add((number, UP), x, up)
    up = g.op("BiasGelu", up, g.constant(f"{number}.up.bias", layer.bias[UP]), domain=_MS)
    x = g.op("Add", linear(DOWN, up), x)
    return _norm(g, f"{number}.output_norm", x, layer.norms[1], bert.epsilon)


def _attention(g: _Graph, bert: Bert, number: int, x: str, keys: str, deltas: _Deltas) -> str:
    layer, parts = bert.layers[number], (QUERY, KEY, VALUE)
    weight = g.constant(f"{number}.qkv.weight", np.concatenate([layer.weight[m] for m in parts], axis=1))
    bias = g.constant(f"{number}.qkv.bias", np.concatenate([layer.bias[m] for m in parts]))
    if not deltas.touch(number, parts):
        return g.op("Attention", x, weight, bias, keys, domain=_MS, num_heads=bert.heads)
    # Attention, 4-6 % faster, keeps Q, K and V inside; where a delta joins them they must be seen.
    split = g.many("Split", 3, g.op("MatMul", x, weight), g.ints(*[bert.hidden] * 3), axis=-1)
    adapted = [deltas.add((number, m), x, y) for m, y in zip(parts, split, strict=True)]
    return g.op("MultiHeadAttention", *adapted, bias, keys, domain=_MS, num_heads=bert.heads)


def _norm(g: _Graph, name: str, x: str, norm: tuple[Array, Array], epsilon: float) -> str:
    gain, bias = g.constant(f"{name}.gain", norm[0]), g.constant(f"{name}.bias", norm[1])
    return g.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=epsilon)


def _pool(g: _Graph, x: str, mask: str) -> str:
    weights = g.op("Unsqueeze", g.op("Cast", mask, to=1), g.ints(1))
    # A sum, not the mean: the embedding is normalised next, so the division would change nothing.
    return g.op("Squeeze", g.op("MatMul", weights, x), g.ints(1))


def _normalise(g: _Graph, pooled: str) -> str:
    length = g.op("ReduceL2", pooled, axes=[1], keepdims=1)
    return g.op("Div", pooled, g.op("Max", length, g.constant("tiny", np.array(1e-12, np.float32))))
