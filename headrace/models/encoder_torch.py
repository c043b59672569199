"""A BERT of our own in plain torch, so that layers can be run from any height and carry a delta.

Bert, RoBERTa and XLM-RoBERTa (post-norm encoders with learned positions; Devlin et al. 2019). It exists
beside transformers' because training starts above a cached prefix, in bfloat16, with batched products for
attention (torch's fused bfloat16 attention has a slow backward on CPUs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


def fast_dtype() -> torch.dtype:
    """bfloat16 where this processor has instructions for it, else float32."""
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """[B, d] float32 mean of the token vectors [B, L, d] where `mask` [B, L] is true."""
    weights = mask.float().unsqueeze(-1)
    return (states.float() * weights).sum(1) / weights.sum(1)


def factors_of(delta: Delta) -> dict[tuple[int, str], tuple[Tensor, Tensor]]:
    """A delta's factors as tensors."""
    return {
        place: (torch.from_numpy(a.copy()), torch.from_numpy(b.copy()))
        for place, (a, b) in delta.factors.items()
    }


@dataclass(frozen=True)
class Encoder:
    """The weights of a base, frozen; states are [B, L, d] in the weights' number format."""

    weights: dict[str, Tensor]
    heads: int
    epsilon: float
    first_position: int
    activation: str

    @classmethod
    def load(cls, base: BaseFolder, dtype: torch.dtype) -> Encoder:
        """Read model.safetensors; names may carry the model's prefix (`bert.`).

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
            _bare(name): tensor.to(dtype) for name, tensor in raw.items() if tensor.is_floating_point()
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

    def embed(self, ids: Tensor) -> Tensor:
        """States below layer 0 of token ids [B, L]."""
        position = torch.arange(ids.shape[1]) + self.first_position
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
        """Layers low..high-1 over states [B, L, d]; `mask` [B, L] is true where there is a token."""
        away = torch.zeros(mask.shape, dtype=states.dtype).masked_fill_(~mask, torch.finfo(states.dtype).min)
        for layer in range(low, high):
            states = self._layer(states, away[:, None, None, :], layer, factors or {}, scaling)
        return states

    def _layer(self, x: Tensor, away: Tensor, layer: int, factors: Factors, scaling: float) -> Tensor:
        name = f"encoder.layer.{layer}"

        def linear(values: Tensor, module: str) -> Tensor:
            weight, bias = (self.weights[f"{name}.{module}.{end}"] for end in ("weight", "bias"))
            pair = factors.get((layer, module))
            if pair is None:
                return functional.linear(values, weight, bias)
            return _merged(values, weight, bias, *pair, scaling)

        query, key, value = (self._split(linear(x, module)) for module in MODULES[:3])
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


def _attend(query: Tensor, key: Tensor, value: Tensor, away: Tensor) -> Tensor:
    """Scaled dot-product attention; explicit products where a gradient is wanted."""
    if not query.requires_grad:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=away)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + away
    return torch.softmax(scores, -1) @ value


def _merged(x: Tensor, weight: Tensor, bias: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    apply: Any = _Merged.apply
    result: Tensor = apply(x, weight, bias, a, b, scaling)
    return result


class _Merged(torch.autograd.Function):
    """x (W + s B A)^T + b with W and b frozen: one product forward, one and some of rank r backward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        merged = torch.add(weight, (b @ a).to(weight.dtype), alpha=scaling)
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
