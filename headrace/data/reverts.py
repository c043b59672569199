"""Undone feedback -> its examples as the feedback that still counts has them, else as they were before any."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from headrace.data.words import SOURCE, Reader, last_words
from headrace.records import Example, Feedback
from headrace.store import Store

Place = tuple[str, str, str]


@dataclass(slots=True)
class Reverts:
    """Examples that go back to (label, origin), by id, and those that go since feedback alone had made them."""

    back: dict[str, tuple[str, str]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


def reverts(store: Store, reader: Reader, undone: Sequence[Feedback], said: Collection[Place]) -> Reverts:
    """What undone feedback leaves to do; texts of `said` have a newer word, which decides by itself."""
    found = Reverts()
    places = {reader.word(one, one.label or "").place for one in undone} - set(said)
    for task, channel in sorted({place[:2] for place in places}):
        keys = sorted(key for t, c, key in places if (t, c) == (task, channel))
        counting = store.feedback.list(task=task, channel=channel, used=True, state="counts")
        last = {place[2]: word.row.label or "" for place, word in last_words(reader.words(counting)).items()}
        for key, same in store.examples.by_text_key(task, keys).items():
            for example in same:
                if example.channel == channel and example.origin == "feedback" and not example.golden:
                    _revert(store, reader, example, last.get(key), found)
    return found


def _revert(store: Store, reader: Reader, example: Example, label: str | None, found: Reverts) -> None:
    """One example: what others still say of it, or its row's label, or nothing."""
    row = store.rows.get(example.id)
    if label is not None:
        if example.label != label:
            found.back[example.id] = (label, "feedback")
    elif row.source == SOURCE:
        found.gone.append(example.id)
    else:
        found.back[example.id] = (reader.name(row.task, row.label or ""), row.origin)
