"""What a training takes and what it gives, each as one JSON object, so that another process may do it.

No torch here: who hands a training out needs none.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Example


@dataclass(frozen=True)
class Trained:
    """An adapter's files and where they came from; `notes` say what each method cost and gained."""

    files: dict[str, bytes]
    labels: tuple[str, ...]
    method: str
    validation_accuracy: float
    seconds: float
    notes: tuple[str, ...]
    lineage: dict[str, object]

    def to_json(self) -> dict[str, Any]:
        """Files in base64; `from_json` gives the same bytes and figures."""
        return {**asdict(self), "files": _packed(self.files)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Trained:
        """What `to_json` said, perhaps in another process."""
        lists = {name: tuple(said[name]) for name in ("labels", "notes")}
        given: dict[str, Any] = {**said, **lists, "files": _unpacked(said["files"])}
        return cls(**given)


@dataclass(frozen=True)
class Lesson:
    """All that one training takes; `start` holds the files of the adapter to start from, if there is one.

    `again` says that the same rows, but for a few, have taught that one. `added` are labels that the owner has
    added and that have few rows so far.
    """

    training: tuple[Example, ...]
    validation: tuple[Example, ...]
    weights: tuple[float, ...]
    task: TaskRecipe
    settings: TrainRecipe
    seed: int
    cache: Path
    checkpoints: Path
    start: Mapping[str, bytes] = field(default_factory=dict)
    again: bool = False
    added: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Files in base64; `from_json` gives the same lesson."""
        return {
            "training": [_plain(example) for example in self.training],
            "validation": [_plain(example) for example in self.validation],
            "weights": self.weights,
            "task": self.task.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
            "seed": self.seed,
            "cache": str(self.cache),
            "checkpoints": str(self.checkpoints),
            "start": _packed(self.start),
            "again": self.again,
            "added": self.added,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Lesson:
        """What `to_json` said, perhaps in another process."""
        return cls(
            training=tuple(map(_example, said["training"])),
            validation=tuple(map(_example, said["validation"])),
            weights=tuple(said["weights"]),
            task=TaskRecipe.model_validate(said["task"]),
            settings=TrainRecipe.model_validate(said["settings"]),
            seed=said["seed"],
            cache=Path(said["cache"]),
            checkpoints=Path(said["checkpoints"]),
            start=_unpacked(said["start"]),
            again=said["again"],
            added=tuple(said["added"]),
        )


def _plain(example: Example) -> dict[str, Any]:
    return {**asdict(example), "at": example.at.isoformat()}


def _example(said: Mapping[str, Any]) -> Example:
    given: dict[str, Any] = {**said, "at": datetime.fromisoformat(said["at"])}
    return Example(**given)


def _packed(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: b64encode(content).decode("ascii") for name, content in files.items()}


def _unpacked(files: Mapping[str, str]) -> dict[str, bytes]:
    return {name: b64decode(content) for name, content in files.items()}
