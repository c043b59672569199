"""Rows -> examples, unlabelled rows, and quarantine with reasons.

A batch is one transaction: killed anywhere, the next run goes on with the rows that are still new. Cleaning
twice changes nothing, and splits do not depend on the order in which rows come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace.data.neighbours import Neighbours
from headrace.data.progress import Progress, silent
from headrace.data.verdicts import Judge, Outcome
from headrace.recipe import Recipe
from headrace.records import Clock, Example, Row
from headrace.store import Store
from headrace.store.rows import State, set_states_in

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a run of `clean` did: `near_duplicates` of the new `examples` are marked and stay.

    `rejected` counts by reason, the `removed` examples of earlier runs included.
    """

    read: int = 0
    examples: int = 0
    near_duplicates: int = 0
    unlabelled: int = 0
    removed: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Cleaned) -> Cleaned:
        return Cleaned(
            self.read + other.read,
            self.examples + other.examples,
            self.near_duplicates + other.near_duplicates,
            self.unlabelled + other.unlabelled,
            self.removed + other.removed,
            dict(Counter(self.rejected) + Counter(other.rejected)),
        )


def clean(store: Store, recipe: Recipe, *, clock: Clock, progress: Progress | None = None) -> Cleaned:
    """Judge every row that is new, in the order in which they came, and say what was done."""
    said = progress or silent
    waiting = sum(n for (_, _, state), n in store.rows.counts().items() if state == "new")
    neighbours: dict[str, Neighbours] = {}
    total = Cleaned()
    for batch in store.rows.pending(BATCH):
        for task in dict.fromkeys(row.task for row in batch):
            if task not in neighbours:
                neighbours[task] = Neighbours(store, task, recipe.clean.near_duplicate)
            rows = [row for row in batch if row.task == task]
            total += _clean(store, recipe, neighbours[task], task, rows, clock)
        said("clean", total.read, waiting)
    return total


def _clean(
    store: Store, recipe: Recipe, near: Neighbours, task: str, rows: Sequence[Row], clock: Clock
) -> Cleaned:
    outcome = Judge(store, recipe, task, rows, clock()).judge()
    examples = near.settle(list(outcome.accepted.values()), outcome.given)
    _keep(store, outcome, examples)
    return Cleaned(
        read=len(rows),
        examples=len(examples),
        near_duplicates=sum(example.same_as is not None for example in examples),
        unlabelled=len(outcome.unlabelled),
        removed=len(outcome.removed),
        rejected=Counter(entry.reason for entry in outcome.rejected),
    )


def _keep(store: Store, outcome: Outcome, examples: Sequence[Example]) -> None:
    """Store all that a batch decided, in one transaction."""
    states: dict[str, State] = {entry.row: "rejected" for entry in outcome.rejected if entry.row}
    states |= dict.fromkeys(outcome.unlabelled, "unlabelled")
    states |= {example.id: "clean" for example in examples}
    with store.transaction() as connection:
        store.examples.remove_in(connection, outcome.removed)
        store.examples.add_in(connection, [(e, outcome.keys[e.id]) for e in examples])
        store.quarantine.add_in(connection, outcome.rejected, outcome.keys)
        set_states_in(connection, states)
