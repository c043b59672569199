"""What is asked of a model, one kind a file: `embed` finds passages, `generate` writes text.

A kind that is trained has a class `Part` in `NAME_torch.py`, made from the `Options` in `NAME.py`; it is given
pairs and returns a delta of the base, or none where that does not pay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.models.delta import Delta


@dataclass(frozen=True)
class Pairs:
    """Questions and, by number in `passages`, the passage that answers each."""

    questions: tuple[str, ...]
    right: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """What a kind is given: pairs to learn from and pairs of other passages to validate on.

    `passages` are all texts that a question may be answered with;
    """

    train: Pairs
    validation: Pairs
    passages: Sequence[str]
    base_name: str
    seed: int
    progress: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True)
class Fitted:
    """What a kind returns; the `delta` is None where the validation pairs are better off with the base alone."""

    delta: Delta | None
    notes: tuple[str, ...] = ()


class Kind(Protocol):
    """One way to learn from pairs."""

    def fit(self, job: Job, features: object) -> Fitted:
        """A delta for the job's pairs; `features` is the base's cached view of texts."""
        ...
