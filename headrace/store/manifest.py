"""The rows that taught an adapter, as they stood when it was trained, and what else it was made from.

A file among the adapter's own: it never changes, and it goes where the adapter goes.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import ArtifactError
from headrace.records import Adapter, Example, Json, Origin, Split
from headrace.store.artifacts import Artifacts

FILE = "rows.json.gz"


@dataclass(frozen=True, slots=True)
class Taught:
    """A row as it taught; `feedback` are the ids of what users said that gave it its label."""

    id: str
    channel: str
    label: str
    split: Split
    origin: Origin
    same_as: str | None = None
    feedback: tuple[str, ...] = ()

    @classmethod
    def of(cls, example: Example, feedback: Sequence[str] = ()) -> Taught:
        """An example as it stands now."""
        e = example
        return cls(e.id, e.channel, e.label, e.split, e.origin, e.same_as, tuple(feedback))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an adapter was made from: `rows`, the `settings` of task and training, the adapter that it began from.

    `graph_of` is the adapter whose training rows calibrated the graph that serves it, None where its own did.
    """

    rows: tuple[Taught, ...]
    settings: Json = field(default_factory=dict)
    start: str | None = None
    graph_of: str | None = None

    def to_bytes(self) -> bytes:
        """The same bytes for the same content."""
        rows = [[r.id, r.channel, r.label, r.split, r.origin, r.same_as, list(r.feedback)] for r in self.rows]
        said = {"rows": rows, "settings": self.settings, "start": self.start, "graph_of": self.graph_of}
        text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return gzip.compress(text.encode("utf-8", "surrogatepass"), mtime=0)

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """A manifest from its file; raises ArtifactError where it is none."""
        try:
            said: dict[str, Any] = json.loads(gzip.decompress(content).decode("utf-8", "surrogatepass"))
            rows = tuple(_taught(row) for row in said["rows"])
            return cls(rows, said["settings"], said["start"], said["graph_of"])
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError("a list of training rows is damaged.", cure="Restore a backup.") from error


def _taught(row: Sequence[Any]) -> Taught:
    name, channel, label, split, origin, same_as, feedback = row
    return Taught(name, channel, label, split, origin, same_as, tuple(feedback))


def manifest_of(artifacts: Artifacts, adapter: Adapter) -> Manifest | None:
    """The manifest of an adapter; None where it has none, because an earlier version trained it."""
    digest = adapter.files.get(FILE)
    return None if digest is None else Manifest.from_bytes(artifacts.get(digest))
