"""Options of LoRA on the top layers; the work is in `lora_torch.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace.models.delta import MODULES

ENOUGH_ROWS = 35_840
"""Rows seen over all epochs, at least."""
QUERY_VALUE = ("attention.self.query", "attention.self.value")


class Options(BaseModel):
    """Options of LoRA."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=8, ge=1, le=256)
    alpha: float = Field(default=16.0, gt=0)
    layers: int | None = Field(default=None, ge=1, description="top layers that change; None: a third of all")
    modules: Literal["all-linear", "qv"] | tuple[str, ...] = "all-linear"
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="None: 4 (q,v alone: 2), or more where rows are few, at most 30",
    )
    lr: float | None = Field(default=None, gt=0, description="None: 4e-3 for q,v alone, 3e-3 for more")
    batch: int = Field(default=32, ge=2, le=4096)
    rslora: bool = False
    words: int = Field(default=20_000, ge=100, le=1_000_000, description="word weights kept")
    characters: Literal["auto", "on", "off"] = Field(
        default="auto", description="their n-grams beside the tokens'; auto asks validation for Chinese"
    )
    refit: bool = Field(default=False, description="after the choices, learn from validation rows too")

    def changed(self) -> tuple[str, ...]:
        """The modules that change in each layer."""
        if isinstance(self.modules, tuple):
            return tuple(module for module in MODULES if module in self.modules)
        return MODULES if self.modules == "all-linear" else QUERY_VALUE

    def top(self, layers: int) -> int:
        """How many of a base's layers change."""
        return self.layers or max(1, layers // 3)

    def passes(self, rows: int) -> int:
        """Epochs over `rows` training rows; few rows need more of them for the same number of updates.

        Queries and values alone need half as many: the words beside them make up for the rest.
        """
        least, enough = (2, ENOUGH_ROWS // 2) if self.few() else (4, ENOUGH_ROWS)
        return self.epochs or min(30, max(least, -(-enough // max(rows, self.batch))))

    def few(self) -> bool:
        """Whether queries and values alone change."""
        return set(self.changed()) <= set(QUERY_VALUE)

    def rate(self) -> float:
        """The highest learning rate of the schedule."""
        return self.lr or (4e-3 if self.few() else 3e-3)

    def scaling(self) -> float:
        """What the product of the factors is multiplied by."""
        return float(self.alpha / (self.rank**0.5 if self.rslora else self.rank))
