"""A transformers folder of the BERT family -> arrays, without torch: config.json and model.safetensors.

BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019; also XLM-R) differ here only in where positions start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from headrace.errors import ArtifactError
from headrace.models.base import BaseFolder
from headrace.models.delta import Delta

Array = npt.NDArray[np.float32]
QUERY, KEY, VALUE = "attention.self.query", "attention.self.key", "attention.self.value"
ATTENTION_OUT, UP, DOWN = "attention.output.dense", "intermediate.dense", "output.dense"
MODULES = (QUERY, KEY, VALUE, ATTENTION_OUT, UP, DOWN)
_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


@dataclass(frozen=True)
class Layer:
    """One encoder layer: `weight[module]` is [in, out], `bias[module]` [out], `norms` (gain, bias) pairs."""

    weight: Mapping[str, Array]
    bias: Mapping[str, Array]
    norms: tuple[tuple[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Bert:
    """The encoder: `words` [V, d], `positions` [P, d] with token type 0 added, `norm` (gain, bias)."""

    words: Array
    positions: Array
    norm: tuple[Array, Array]
    layers: tuple[Layer, ...]
    heads: int
    epsilon: float

    @property
    def hidden(self) -> int:
        """The width d."""
        return int(self.words.shape[1])


def read_bert(base: BaseFolder) -> Bert:
    """The weights of `base`; raises ArtifactError where a file is missing, damaged or of another family."""
    path, activation = base.path / "model.safetensors", base.config.get("hidden_act")
    if activation != "gelu":
        raise ArtifactError(
            f"a base with the activation {activation!r} cannot be exported.",
            where=base.name,
            cure="Use a base with gelu.",
        )
    try:
        with safe_open(path, framework="np") as file:
            return _assemble(_Reader(file, path), base.config)
    except (OSError, SafetensorError, TypeError) as error:
        raise ArtifactError(
            f"its weights cannot be read: {error}.",
            where=str(path),
            cure="Give a folder with float32 or float16 weights in safetensors.",
        ) from error


class _Reader:
    """Tensors by their name without the model's prefix (`bert.`, `roberta.`), as float32."""

    def __init__(self, file: Any, path: Path) -> None:
        self._file, self._path = file, path
        anchor = "embeddings.word_embeddings.weight"
        found = [name for name in file.keys() if name.endswith(anchor)]  # noqa: SIM118
        self._prefix = found[0].removesuffix(anchor) if found else ""
        self._names = set(file.keys())

    def __call__(self, name: str) -> Array:
        full = self._prefix + name
        if full not in self._names:
            raise ArtifactError(
                f"the tensor {full!r} is missing.", where=str(self._path), cure="Copy the base again."
            )
        return np.ascontiguousarray(self._file.get_tensor(full), dtype=np.float32)

    def norm(self, name: str) -> tuple[Array, Array]:
        return self(f"{name}.weight"), self(f"{name}.bias")


def _assemble(read: _Reader, config: Mapping[str, Any]) -> Bert:
    positions = read("embeddings.position_embeddings.weight")
    if config["model_type"] != "bert":
        positions = positions[int(config["pad_token_id"]) + 1 :]
    return Bert(
        words=read("embeddings.word_embeddings.weight"),
        positions=positions + read("embeddings.token_type_embeddings.weight")[0],
        norm=read.norm("embeddings.LayerNorm"),
        layers=tuple(_layer(read, i) for i in range(int(config["num_hidden_layers"]))),
        heads=int(config["num_attention_heads"]),
        epsilon=float(config["layer_norm_eps"]),
    )


def _layer(read: _Reader, number: int) -> Layer:
    place = f"encoder.layer.{number}"
    first, second = (read.norm(f"{place}.{name}") for name in _NORMS)
    return Layer(
        weight={m: np.ascontiguousarray(read(f"{place}.{m}.weight").T) for m in MODULES},
        bias={m: read(f"{place}.{m}.bias") for m in MODULES},
        norms=(first, second),
    )


def merge(bert: Bert, delta: Delta) -> Bert:
    """The encoder with `delta` put into its weights."""
    layers = list(bert.layers)
    for number, module in delta.factors:
        update = delta.update(number, module)
        if update is not None:
            weight = {**layers[number].weight, module: layers[number].weight[module] + update.T}
            layers[number] = replace(layers[number], weight=weight)
    return replace(bert, layers=tuple(layers))
