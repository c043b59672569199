"""What taught an adapter, in numbers: its rows by channel and source, how many of them corrections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.records import Adapter
from headrace.store import Store
from headrace.store.manifest import manifest_of


@dataclass(frozen=True, slots=True)
class Lessons:
    """The rows that an adapter was trained from: counts by (channel, source), and each row's id.

    `corrections` are rows to which users gave their labels; `feedback` are the ids of what they said.
    """

    rows: int
    validation: int
    corrections: int
    by_source: Mapping[tuple[str, str], int]
    ids: tuple[str, ...]
    feedback: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """It in one line."""
        if not self.rows:
            return "trained from no rows"
        parts = ", ".join(f"{channel}/{source} {n:,}" for (channel, source), n in self.by_source.items())
        said = f"trained from {self.rows:,} rows: {parts}"
        return f"{said}; {self.corrections:,} of them taught by users" if self.corrections else said

    def to_json(self) -> dict[str, object]:
        """A JSON object, with the ids."""
        by_source = [
            {"channel": channel, "source": source, "rows": n}
            for (channel, source), n in self.by_source.items()
        ]
        return {
            "rows": self.rows,
            "validation": self.validation,
            "corrections": self.corrections,
            "by_source": by_source,
            "ids": list(self.ids),
            "feedback": list(self.feedback),
        }


def lessons(store: Store, adapter: Adapter) -> Lessons | None:
    """What taught an adapter; None where its list of rows is not there: an earlier version made it, or it was
    withdrawn because a person was forgotten. Raises ArtifactError where the list is damaged.
    """
    found = manifest_of(store.artifacts, adapter)
    if found is None:
        return None
    sources = store.rows.sources([row.id for row in found.rows])
    counts = Counter((row.channel, sources.get(row.id, "?")) for row in found.rows)
    return Lessons(
        rows=len(found.rows),
        validation=sum(row.split == "validation" for row in found.rows),
        corrections=sum(row.origin == "feedback" for row in found.rows),
        by_source=dict(sorted(counts.items())),
        ids=tuple(row.id for row in found.rows),
        feedback=tuple(name for row in found.rows for name in row.feedback),
    )
