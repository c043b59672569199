"""A low-rank delta (LoRA, Hu et al. 2021, arXiv 2106.09685) in PEFT's format, read and written torch-free.

Two files: `adapter_config.json` and `adapter_model.safetensors`. PEFT's LoRA folders load here, ours load in
PEFT. A module is named as in transformers' BERT, for example `attention.self.query`.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from headrace.errors import ArtifactError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
MODULES = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
_BESIDE = re.compile(r"(^|\.)(pooler|classifier|score|cls)\.")
_KEY = re.compile(r"base_model\.model\.(?:\w+\.)?encoder\.layer\.(\d+)\.([a-z.]+)\.lora_([AB])\.weight")
_REFUSED = (
    "use_dora",
    "layer_replication",
    "trainable_token_indices",
    "alora_invocation_tokens",
)
Floats = NDArray[np.float32]
Factors = dict[tuple[int, str], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Delta:
    """(layer, module) -> A [r, in] and B [out, r] in float32; W becomes W + scaling * B @ A.

    `scaling` is alpha / r, or alpha / sqrt(r) where `rslora` (Kalajdzievski 2023); `base` is the name of the
    base that PEFT finds in the configuration.
    """

    factors: Factors
    scaling: float
    base: str = ""
    rslora: bool = False

    @property
    def lowest(self) -> int:
        """The lowest layer that it changes."""
        return min(layer for layer, _ in self.factors)

    @property
    def rank(self) -> int:
        """The rank of most of its modules."""
        return Counter(len(a) for a, _ in self.factors.values()).most_common(1)[0][0]

    def update(self, layer: int, module: str) -> Floats | None:
        """[out, in] what is added to that module's weight; None where nothing is."""
        found = self.factors.get((layer, module))
        return None if found is None else np.asarray(found[1] @ found[0] * np.float32(self.scaling))

    def to_files(self) -> dict[str, bytes]:
        """adapter_config.json and adapter_model.safetensors; the same delta gives the same bytes."""
        tensors = {}
        for (layer, module), (a, b) in sorted(self.factors.items()):
            name = f"base_model.model.encoder.layer.{layer}.{module}"
            tensors[f"{name}.lora_A.weight"] = np.ascontiguousarray(a, np.float32)
            tensors[f"{name}.lora_B.weight"] = np.ascontiguousarray(b, np.float32)
        config = json.dumps(self._config(), indent=2, sort_keys=True)
        return {CONFIG_FILE: config.encode(), WEIGHTS_FILE: safetensors.numpy.save(tensors, {"format": "pt"})}

    def _config(self) -> dict[str, object]:
        other = {
            f"encoder.layer.{layer}.{module}": len(a)
            for (layer, module), (a, _) in sorted(self.factors.items())
            if len(a) != self.rank
        }
        return {
            "peft_type": "LORA",
            "task_type": None,
            "base_model_name_or_path": self.base,
            "r": self.rank,
            "lora_alpha": self._alpha(self.rank),
            "use_rslora": self.rslora,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "target_modules": sorted(f"encoder.layer.{layer}.{module}" for layer, module in self.factors),
            "rank_pattern": other,
            "alpha_pattern": {name: self._alpha(rank) for name, rank in other.items()},
        }

    def _alpha(self, rank: int) -> float:
        return self.scaling * (math.sqrt(rank) if self.rslora else rank)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, where: str = "") -> Delta:
        """The delta in a PEFT LoRA folder's two files.

        A pooler or classifier saved beside it is left out: our head takes its place. Raises ArtifactError
        where a file is missing, damaged, or holds what a plain LoRA of a BERT's linear layers does not.
        """
        try:
            config = json.loads(files[CONFIG_FILE])
            tensors = safetensors.numpy.load(files[WEIGHTS_FILE])
            return _delta(config, tensors)
        except KeyError as error:
            raise ArtifactError(f"lacks {error}.", where=where, cure=_CURE) from error
        except (SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ArtifactError(f"the delta cannot be read: {error}.", where=where, cure=_CURE) from error


_CURE = "Give a LoRA folder that PEFT saved, for a base of the BERT family."


def _delta(config: dict[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Delta:
    if config.get("peft_type") != "LORA":
        raise ValueError(f"peft_type is {config.get('peft_type')!r}, not 'LORA'")
    refused = [name for name in _REFUSED if config.get(name)]
    if refused or config.get("bias", "none") != "none" or config.get("fan_in_fan_out"):
        raise ValueError(f"it uses {', '.join(refused) or 'bias or fan_in_fan_out'}")
    halves: dict[tuple[int, str], dict[str, Floats]] = {}
    for name, tensor in tensors.items():
        if _BESIDE.search(name):  # above the last hidden states, which is where our head sits
            continue
        layer, module, half = _place(name)
        halves.setdefault((layer, module), {})[half] = np.asarray(tensor, dtype=np.float32)
    rslora, scaling = bool(config.get("use_rslora")), _scaling(config, "", config["r"])
    factors = {}
    for (layer, module), found in sorted(halves.items()):
        a, b = found["A"], found["B"]
        if (
            a.ndim != 2
            or b.ndim != 2
            or len(a) != b.shape[1]
            or not (np.isfinite(a).all() and np.isfinite(b).all())
        ):
            raise ValueError(f"{module} of layer {layer} holds what it cannot")
        own = _scaling(config, f"encoder.layer.{layer}.{module}", len(a))
        factors[layer, module] = (a, b if own == scaling else np.asarray(b * np.float32(own / scaling)))
    if not factors:
        raise ValueError("it changes nothing")
    return Delta(factors, scaling, str(config.get("base_model_name_or_path") or ""), rslora)


def _place(name: str) -> tuple[int, str, str]:
    found = _KEY.fullmatch(name)
    if found is None or found[2] not in MODULES:
        raise ValueError(f"{name} is no LoRA weight of a BERT's linear layer")
    return int(found[1]), found[2], found[3]


def _scaling(config: Mapping[str, Any], module: str, rank: int) -> float:
    alpha = float(config["lora_alpha"])
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if module and (module == pattern or module.endswith(f".{pattern}")):
            alpha = float(value)
    divisor = math.sqrt(rank) if config.get("use_rslora") else rank
    if not (rank > 0 and alpha > 0 and math.isfinite(alpha)):
        raise ValueError(f"rank {rank} and alpha {alpha} make no scaling")
    return alpha / divisor
