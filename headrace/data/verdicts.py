"""What becomes of each row of a batch: an example, unlabelled, or quarantine with the reason.

Rows are judged one after another in the order in which they came, against the store as it stood and what the
batch has decided so far; so it does not matter where one batch ends and the next begins.
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from headrace.data.aliases import aliases
from headrace.data.split import hash_split
from headrace.data.texts import garbled, text_key, tidy
from headrace.errors import NotFound
from headrace.recipe import Recipe
from headrace.records import Example, Rejected, Row, Split, content_id
from headrace.store import Store

Place = tuple[str, str]  # channel and key of the normalised text
CONFLICT = "conflicting labels"
EQUALS_TEST = "equals a test row"


@dataclass(slots=True)
class Outcome:
    """What a batch decided; `keys` are the keys of texts by example id and rejected id."""

    accepted: dict[str, Example] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)


def unusable(text: str, longest: int | None) -> tuple[str, str] | None:
    """Reason and detail why a tidy text is of no use; None where it is. `longest` None takes any length."""
    if not text:
        return "empty", "no text"
    if said := garbled(text):
        return "undecodable", said
    if longest is not None and len(text) > longest:
        return "too long", f"{len(text):,} characters, at most {longest:,}"
    return None


def unknown_label(recipe: Recipe, task: str, label: str) -> str:
    """What is wrong with a label that the task does not list; empty where it lists it, or none at all."""
    labels = recipe.tasks[task].labels if task in recipe.tasks else ()
    if not labels or label in labels:
        return ""
    near = difflib.get_close_matches(label, labels, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(labels)}"
    return f"{label!r} is not among the task's labels; {hint}"


def rejection(row: Row, reason: str, detail: str, at: datetime) -> Rejected:
    """A row's entry in quarantine."""
    return Rejected(
        id=content_id("q", row.id, reason),
        channel=row.channel,
        task=row.task,
        source=row.source,
        place=row.place,
        content=row.text,
        label=row.label,
        reason=reason,
        detail=detail,
        at=at,
        row=row.id,
    )


class Judge:
    """Judges the rows of one batch and one task."""

    def __init__(self, store: Store, recipe: Recipe, task: str, rows: Sequence[Row], at: datetime) -> None:
        self._store, self._recipe, self._task, self._at = store, recipe, task, at
        now = aliases(store, task)
        self._rows = {row.id: replace(row, label=now.get(row.label or "", row.label)) for row in rows}
        self._texts = {row.id: tidy(row.text) for row in rows}
        self._keys = {row_id: text_key(text) for row_id, text in self._texts.items()}
        self._load(sorted(set(self._keys.values())))
        self.outcome = Outcome()

    def _load(self, keys: Sequence[str]) -> None:
        known = self._store.examples.by_text_key(self._task, keys)
        found = [example for same in known.values() for example in same]
        splits = self._store.rows.given_splits([e.id for e in found if e.split == "test"])
        self._official = {row_id for row_id, split in splits.items() if split == "test"}
        self._known: dict[str, list[Example]] = defaultdict(list, {k: list(v) for k, v in known.items()})
        waiting = self._store.quarantine.by_text_key(self._task, keys)
        self._waiting: dict[Place, list[Rejected]] = defaultdict(list)
        for key, entries in waiting.items():
            for entry in entries:
                self._waiting[entry.channel, key].append(entry)
        self._repeats: Mapping[str, int] = {}
        if self._recipe.clean.conflicts == "majority":
            ids = [e.row for entries in waiting.values() for e in entries if e.row]
            self._repeats = self._store.quarantine.repeats([*self._rows, *(e.id for e in found), *ids])

    def judge(self) -> Outcome:
        """Judge every row."""
        for row in self._rows.values():
            self._judge(row)
        return self.outcome

    def _judge(self, row: Row) -> None:
        text = self._texts[row.id]
        bad = unusable(text, None if row.split == "test" else self._recipe.clean.longest)
        if bad is not None:
            self._reject(row, *bad)
        elif row.label is None:
            self.outcome.unlabelled.append(row.id)
        elif said := unknown_label(self._recipe, row.task, row.label):
            self._reject(row, "unknown label", said)
        elif row.split == "test":
            self._take_official(row)
        else:
            self._take(row, row.label)

    def _take_official(self, row: Row) -> None:
        """A test row of the source stays, whatever equals it; what would train on it leaves."""
        key = self._keys[row.id]
        self._accept(row)
        self._official.add(row.id)
        for other in list(self._known[key]):
            if other.id in self._official or other.golden:
                continue
            if other.split != "test":
                self._remove(other, key, EQUALS_TEST, f"the same text as the test row {row.id}")
            elif other.channel == row.channel:
                self._remove(other, key, "duplicate", f"the same as the test row {row.id}")

    def _take(self, row: Row, label: str) -> None:
        key = self._keys[row.id]
        official = next((e for e in self._known[key] if e.id in self._official), None)
        if official is not None and self._split(row) != "test":
            self._reject(row, EQUALS_TEST, f"the same text as the test row {official.id}")
            return
        here = next((e for e in self._known[key] if e.channel == row.channel), None)
        if here is not None and here.label == label:
            self._reject(row, "duplicate", f"the same as {here.id}")
        elif here is not None and (here.golden or here.origin != "source" or here.id in self._official):
            self._reject(row, CONFLICT, f"{here.id} says {here.label!r}, and that stands")
        elif here is not None or self._disputed(row.channel, key):
            self._settle_conflict(row, label, here)
        else:
            self._accept(row)

    def _disputed(self, channel: str, key: str) -> bool:
        return any(entry.reason == CONFLICT for entry in self._waiting[channel, key])

    def _settle_conflict(self, row: Row, label: str, here: Example | None) -> None:
        """Several labels for one text of a channel: all go, or the one that most rows say stays."""
        key = self._keys[row.id]
        votes = self._votes(row, label, here)
        said = _told(votes)
        winner = _winner(votes) if self._recipe.clean.conflicts == "majority" else None
        if here is not None and here.label != winner:
            self._remove(here, key, CONFLICT, said)
        if winner == label:
            self._accept(row)
        else:
            self._reject(row, CONFLICT, said)

    def _votes(self, row: Row, label: str, here: Example | None) -> Counter[str]:
        """How many rows say which label of this text, repeats within a run included."""
        votes = Counter({label: 1 + self._repeats.get(row.id, 0)})
        if here is not None:
            votes[here.label] += 1 + self._repeats.get(here.id, 0)
        for entry in self._waiting[row.channel, self._keys[row.id]]:
            if entry.label is not None and entry.reason in (CONFLICT, "duplicate"):
                votes[entry.label] += 1 + self._repeats.get(entry.row or "", 0)
        return votes

    def _split(self, row: Row) -> Split:
        recipe = self._recipe
        return row.split or hash_split(recipe.seed, self._keys[row.id], recipe.clean.test_share)

    def _accept(self, row: Row) -> None:
        key = self._keys[row.id]
        example = Example(
            id=row.id,
            channel=row.channel,
            task=row.task,
            text=self._texts[row.id],
            label=row.label or "",
            split=self._split(row),
            origin=row.origin,
            at=self._at,
        )
        self.outcome.accepted[row.id] = example
        self.outcome.keys[row.id] = key
        if row.split is not None:
            self.outcome.given.add(row.id)
        self._known[key].append(example)

    def _reject(self, row: Row, reason: str, detail: str) -> None:
        key = self._keys.get(row.id) or text_key(tidy(row.text))
        entry = rejection(row, reason, detail, self._at)
        self.outcome.rejected.append(entry)
        self.outcome.keys[entry.id] = key
        self._waiting[row.channel, key].append(entry)

    def _remove(self, example: Example, key: str, reason: str, detail: str) -> None:
        """Take an example out again, of this batch or of the store."""
        if self.outcome.accepted.pop(example.id, None) is None:
            self.outcome.removed.append(example.id)
        self.outcome.given.discard(example.id)
        self._known[key].remove(example)
        self._reject(self._row_of(example), reason, detail)

    def _row_of(self, example: Example) -> Row:
        try:
            return self._rows.get(example.id) or self._store.rows.get(example.id)
        except NotFound:
            e = example
            return Row(e.id, e.channel, e.task, "", e.text, e.label, None, "", e.at, e.origin)


def _winner(votes: Counter[str]) -> str | None:
    """The label with the most votes, None where two have as many."""
    (first, most), *others = votes.most_common(2)
    return None if others and others[0][1] == most else first


def _told(votes: Counter[str]) -> str:
    """The labels of one text, the most frequent three; more would grow with the square of the rows."""
    ranked = sorted(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    more = f" and {len(ranked) - 3} other labels" if len(ranked) > 3 else ""
    return ", ".join(f"{name[:80]!r} {n} times" for name, n in ranked[:3]) + more
