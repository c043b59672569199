"""A BERT of our own in plain torch, so that layers can be run from any height and carry a delta.

Bert, RoBERTa and XLM-RoBERTa (post-norm encoders with learned positions; Devlin et al. 2019). It exists
beside transformers' because training starts above a cached prefix, in bfloat16, with batched products for
attention (torch's fused bfloat16 attention has a slow backward on CPUs). Where no gradient is wanted, the
products of a CPU take weights laid out once for its matrix unit, with GELU and residual sums in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as functional
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from headrace.errors import ArtifactError
from headrace.models.base import BaseFolder
from headrace.models.delta import MODULES, Delta

Factors = Mapping[tuple[int, str], tuple[Tensor, Tensor]]
ATTENTION = MODULES[:3]
_TOKENS = 512
"""Rows of a product for which packed weights are laid out; any other number works, too."""


def fast_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_dtype() -> torch.dtype:
    """bfloat16 where the GPU, or else this processor, has instructions for it; else float32."""
    if fast_device().type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """[B, d] float32 mean of the token vectors [B, L, d] where `mask` [B, L] is true."""
    weights = mask.float().unsqueeze(-1)
    return (states.float() * weights).sum(1) / weights.sum(1)


def merge(weight: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    """W + scaling * B A in the weight's number format."""
    return torch.add(weight, (b @ a).to(weight.dtype), alpha=scaling)


def factors_of(delta: Delta) -> dict[tuple[int, str], tuple[Tensor, Tensor]]:
    """A delta's factors as tensors."""
    return {
        place: (torch.from_numpy(a.copy()), torch.from_numpy(b.copy()))
        for place, (a, b) in delta.factors.items()
    }


@dataclass(frozen=True)
class _Packed:
    """A layer's (weight, bias) pairs, weights laid out for the processor; query, key and value are one."""

    attention: tuple[Tensor, Tensor]
    output: tuple[Tensor, Tensor]
    up: tuple[Tensor, Tensor]
    down: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Encoder:
    """The weights of a base, frozen; states are [B, L, d] in the weights' number format."""

    weights: dict[str, Tensor]
    heads: int
    epsilon: float
    first_position: int
    activation: str
    _packed: dict[int, _Packed] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(cls, base: BaseFolder, dtype: torch.dtype, device: torch.device | str = "cpu") -> Encoder:
        """Read model.safetensors onto a device; names may carry the model's prefix (`bert.`).

        Raises ArtifactError where it is damaged or lacks a layer.
        """
        config, path = base.config, base.path / "model.safetensors"
        try:
            raw = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ArtifactError(
                f"the base's weights cannot be read: {error}.", where=str(path), cure="Copy the base again."
            ) from error
        weights = {
            _bare(name): tensor.to(device, dtype)
            for name, tensor in raw.items()
            if tensor.is_floating_point()
        }
        if f"encoder.layer.{base.layers - 1}.output.dense.weight" not in weights:
            raise ArtifactError(
                f"the base's weights lack some of the {base.layers} layers that config.json names.",
                where=str(path),
                cure="Copy the base again.",
            )
        roberta = "roberta" in str(config["model_type"])
        return cls(
            weights,
            int(config["num_attention_heads"]),
            float(config.get("layer_norm_eps", 1e-12)),
            int(config.get("pad_token_id", 1)) + 1 if roberta else 0,
            str(config.get("hidden_act", "gelu")),
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are, and where states must be."""
        return self.weights["embeddings.LayerNorm.weight"].device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of weights and states."""
        return self.weights["embeddings.LayerNorm.weight"].dtype

    def merged(self, factors: Factors, scaling: float) -> Encoder:
        """An encoder with W + scaling * B A in the places of `factors`, rounded as in training."""
        changed = {
            f"encoder.layer.{layer}.{module}.weight": (a, b) for (layer, module), (a, b) in factors.items()
        }
        weights = {name: merge(self.weights[name], *pair, scaling) for name, pair in changed.items()}
        return replace(self, weights=self.weights | weights, _packed={})

    def embed(self, ids: Tensor) -> Tensor:
        """States below layer 0 of token ids [B, L]."""
        position = torch.arange(ids.shape[1], device=ids.device) + self.first_position
        words = self.weights["embeddings.word_embeddings.weight"][ids]
        places = self.weights["embeddings.position_embeddings.weight"][position]
        kinds = self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm(words + places + kinds, "embeddings.LayerNorm")

    def run(
        self,
        states: Tensor,
        mask: Tensor,
        low: int,
        high: int,
        factors: Factors | None = None,
        scaling: float = 0.0,
    ) -> Tensor:
        """Layers low..high-1 over states [B, L, d]; `mask` [B, L] is true where there is a token.

        `factors` are those that these weights have in them (see `merged`): a gradient reaches them, and no
        other weight. Without them there is no gradient.
        """
        least = torch.finfo(states.dtype).min
        away = torch.zeros_like(mask, dtype=states.dtype).masked_fill_(~mask, least)[:, None, None, :]
        for layer in range(low, high):
            if factors is None and self.dtype == torch.bfloat16 and self.device.type == "cpu":
                states = self._frozen_layer(states, away, layer)
            else:
                states = self._layer(states, away, layer, factors or {}, scaling)
        return states

    def _frozen_layer(self, x: Tensor, away: Tensor, layer: int) -> Tensor:
        """The same layer in six calls; GELU and the residual sums are taken before a product is rounded."""
        name, packed = f"encoder.layer.{layer}", self._pack(layer)
        flat, kind = x.reshape(-1, x.shape[-1]), "relu" if self.activation == "relu" else "gelu"
        heads = _product(flat, *packed.attention, "none").view(*x.shape[:2], 3, self.heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        seen = _attend_frozen(query, key, value, away).transpose(1, 2).reshape(flat.shape)
        flat = self._norm(_product_onto(flat, seen, *packed.output), f"{name}.attention.output.LayerNorm")
        inner = _product(flat, *packed.up, kind)
        return self._norm(_product_onto(flat, inner, *packed.down), f"{name}.output.LayerNorm").view(x.shape)

    def _pack(self, layer: int) -> _Packed:
        if layer not in self._packed:
            own = {m: self._pair(layer, m) for m in MODULES}
            joined = [torch.cat(parts) for parts in zip(*(own[m] for m in ATTENTION), strict=True)]
            pairs = [(joined[0], joined[1]), *(own[m] for m in MODULES[3:])]
            self._packed[layer] = _Packed(*((_laid_out(weight), bias) for weight, bias in pairs))
        return self._packed[layer]

    def _pair(self, layer: int, module: str) -> tuple[Tensor, Tensor]:
        name = f"encoder.layer.{layer}.{module}"
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def _layer(self, x: Tensor, away: Tensor, layer: int, factors: Factors, scaling: float) -> Tensor:
        name = f"encoder.layer.{layer}"

        def linear(values: Tensor, module: str) -> Tensor:
            weight, bias = self._pair(layer, module)
            pair = factors.get((layer, module))
            if pair is None:
                return functional.linear(values, weight, bias)
            return _adapted(values, weight, bias, *pair, scaling)

        query, key, value = (self._split(linear(x, module)) for module in ATTENTION)
        seen = _attend(query, key, value, away).transpose(1, 2).reshape(x.shape)
        x = self._norm(x + linear(seen, "attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = self._activate(linear(x, "intermediate.dense"))
        return self._norm(x + linear(inner, "output.dense"), f"{name}.output.LayerNorm")

    def _activate(self, x: Tensor) -> Tensor:
        return functional.relu(x) if self.activation == "relu" else functional.gelu(x)

    def _split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return functional.layer_norm(x, (x.shape[-1],), weight, bias, self.epsilon)


def _bare(name: str) -> str:
    for start in ("embeddings.", "encoder."):
        at = name.find(start)
        if at >= 0 and name[:at].count(".") <= 1:
            return (
                name[at:]
                .replace("LayerNorm.gamma", "LayerNorm.weight")
                .replace("LayerNorm.beta", "LayerNorm.bias")
            )
    return name


def _laid_out(weight: Tensor) -> Tensor:
    pack: Any = torch.ops.mkldnn._reorder_linear_weight
    found: Tensor = pack(weight.contiguous(), _TOKENS)
    return found


def _product(x: Tensor, weight: Tensor, bias: Tensor, kind: str) -> Tensor:
    """x W^T + b and what comes upon it: "gelu", "relu" or "none"."""
    call: Any = torch.ops.mkldnn._linear_pointwise
    found: Tensor = call(x, weight, bias, kind, [], "none" if kind == "gelu" else "")
    return found


def _product_onto(other: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W^T + b + other."""
    call: Any = torch.ops.mkldnn._linear_pointwise.binary
    found: Tensor = call(x, other, weight, bias, "add")
    return found


def _attend_frozen(query: Tensor, key: Tensor, value: Tensor, away: Tensor) -> Tensor:
    """Scaled dot-product attention of [B, H, L, d / H] without a gradient.

    torch's fused kernel is slow where L is no multiple of 16.
    """
    if query.shape[2] % 16 == 0:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=away)
    shape = (-1, *query.shape[2:])
    first, second, third = (part.reshape(shape) for part in (query * query.shape[-1] ** -0.5, key, value))
    scores = torch.bmm(first, second.transpose(1, 2)).view(*query.shape[:3], -1) + away
    shares = torch.softmax(scores, -1, dtype=torch.float32).to(value.dtype)
    return torch.bmm(shares.view(len(first), *scores.shape[2:]), third).view(query.shape)


def _attend(query: Tensor, key: Tensor, value: Tensor, away: Tensor) -> Tensor:
    """Scaled dot-product attention; explicit products where a gradient is wanted."""
    if not query.requires_grad:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=away)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + away
    return torch.softmax(scores, -1) @ value


def _adapted(x: Tensor, merged: Tensor, bias: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    apply: Any = _Adapted.apply
    result: Tensor = apply(x, merged, bias, a, b, scaling)
    return result


class _Adapted(torch.autograd.Function):
    """x (W + s B A)^T + b with the sum given: one product forward, one and some of rank r backward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, merged: Tensor, bias: Tensor, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        ctx.save_for_backward(x, merged, a, b)
        ctx.scaling = scaling
        return functional.linear(x, merged, bias)

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[Tensor | None, ...]:
        x, merged, a, b = ctx.saved_tensors
        out = outputs[0].reshape(-1, merged.shape[0])
        flat = x.reshape(-1, merged.shape[1])
        down = (out @ merged).view(x.shape) if ctx.needs_input_grad[0] else None
        for_a = (out @ b.to(out.dtype)).t() @ flat
        for_b = out.t() @ (flat @ a.to(flat.dtype).t())
        return down, None, None, for_a.float() * ctx.scaling, for_b.float() * ctx.scaling, None
