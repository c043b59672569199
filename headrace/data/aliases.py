"""What a label of a task is called now, where the owner has renamed or merged it.

The past holds each change as an Event, so a source that goes on saying the old name is understood.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.records import Event
from headrace.store import Store

KIND = "labels"


def aliases(store: Store, task: str) -> dict[str, str]:
    """Former label -> its name now; a label that was added again under a former name is itself again."""
    return follow(store.history.of_kind(KIND, task))


def added(store: Store, task: str, first: int | None = None) -> set[str]:
    """The labels that the owner has added, as they are called now; or were after the `first` so many changes."""
    changes = store.history.of_kind(KIND, task)[:first]
    now = follow(changes)
    names = {str(one.evidence["label"]) for one in changes if one.evidence.get("change") == "added"}
    return {now.get(name, name) for name in names}


def follow(changes: Sequence[Event]) -> dict[str, str]:
    """The aliases after these changes, oldest first."""
    found: dict[str, str] = {}
    for change in changes:
        label, old = str(change.evidence["label"]), _names(change.evidence)
        found = {name: label if now in old else now for name, now in found.items()}
        found |= dict.fromkeys(old, label)
        found.pop(label, None)
    return found


def _names(evidence: Mapping[str, object]) -> list[str]:
    old = evidence.get("replaced", ())
    return [str(name) for name in old] if isinstance(old, Sequence) else []
