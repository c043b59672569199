"""How examples become an adapter: one file a method, `head.py` (and `lora.py` with `lora_torch.py`).

A method is a class called `Part`, made from its `Options`; it is given a `Job` and returns a `Fitted`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.models.adapter import Head
from headrace.models.delta import Delta

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]


class Features(Protocol):
    """Where a method gets the frozen base's view of a text."""

    def pooled(self, texts: Sequence[str]) -> Floats:
        """[n, d] embeddings of norm 1."""
        ...

    def hidden(self, texts: Sequence[str], layer: int) -> Sequence[NDArray[np.uint16]]:
        """States below `layer` of each text, [tokens, d] bfloat16 as uint16."""
        ...


@dataclass(frozen=True)
class Rows:
    """Rows of a job: their texts, token ids and label numbers [n]; `weights` [n] count a row more or less."""

    texts: Sequence[str]
    token_ids: Sequence[Ids]
    y: NDArray[np.int64]
    weights: Floats

    def joined(self, other: Rows) -> Rows:
        """These rows, then the others."""
        return Rows(
            [*self.texts, *other.texts],
            [*self.token_ids, *other.token_ids],
            np.concatenate([self.y, other.y]),
            np.concatenate([self.weights, other.weights]),
        )

    def none(self) -> Rows:
        """No row."""
        return Rows((), (), self.y[:0], self.weights[:0])


@dataclass(frozen=True)
class Job:
    """What a method is given; `start` is the adapter that this one starts from."""

    train: Rows
    validation: Rows
    labels: tuple[str, ...]
    features: Features
    base: str
    base_name: str
    seed: int
    start: Head | None = None
    checkpoints: Path | None = None
    progress: Callable[[str, int, int], None] | None = None

    def with_all(self) -> Job:
        """The same job with the validation rows to learn from, too, and none to validate on."""
        return replace(self, train=self.train.joined(self.validation), validation=self.validation.none())


@dataclass(frozen=True)
class Fitted:
    """What a method returns: the head, a delta or None, and its logits [v, K] on the validation rows."""

    head: Head
    delta: Delta | None
    validation_logits: Floats
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """One way to fit an adapter."""

    def fit(self, job: Job) -> Fitted:
        """An adapter for the job's rows; TrainingError where nothing can be learned from them."""
        ...
