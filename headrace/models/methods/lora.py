"""Options of LoRA on the top layers; the work is in `lora_torch.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace.models.delta import MODULES

QUERY_VALUE = ("attention.self.query", "attention.self.value")


class Options(BaseModel):
    """Options of LoRA."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=8, ge=1, le=256)
    alpha: float = Field(default=16.0, gt=0)
    layers: int | None = Field(default=None, ge=1, description="top layers that change; None: a third of all")
    modules: Literal["all-linear", "qv"] | tuple[str, ...] = "all-linear"
    epochs: int | None = Field(
        default=None, ge=1, le=100, description="None: 4, or more until 560 batches are seen, at most 30"
    )
    lr: float = Field(default=2e-3, gt=0)
    batch: int = Field(default=64, ge=2, le=4096)
    rslora: bool = False

    def changed(self) -> tuple[str, ...]:
        """The modules that change in each layer."""
        if isinstance(self.modules, tuple):
            return tuple(module for module in MODULES if module in self.modules)
        return MODULES if self.modules == "all-linear" else QUERY_VALUE

    def top(self, layers: int) -> int:
        """How many of a base's layers change."""
        return self.layers or max(1, layers // 3)

    def passes(self, rows: int) -> int:
        """Epochs over `rows` training rows; few rows need more of them for the same number of updates."""
        return self.epochs or min(30, max(4, -(-560 // -(-rows // self.batch))))

    def scaling(self) -> float:
        """What the product of the factors is multiplied by."""
        return float(self.alpha / (self.rank**0.5 if self.rslora else self.rank))
