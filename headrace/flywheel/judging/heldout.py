"""The rows that judge: held-out ones, until they have served enough decisions, and golden ones.

Whoever decides by the same rows again and again learns those rows: so one serves at most `gate.decisions`
decisions. Then it stops judging and trains from the next turn on, its near-duplicates with it, so that nothing
judges that is near a training row. Rows that come in go on being held out at the same share and take its
place. Test rows that the source named judge for good, and how often they have served is told; a near-duplicate
of one, or of a golden row, rests instead: it neither judges nor trains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.data.texts import text_key
from headrace.recipe import Recipe
from headrace.records import Clock, Event, Example, IdMaker
from headrace.store import Store


@dataclass(frozen=True)
class Case:
    """The rows by which one (task, channel) is judged; `served` is the most decisions one of them has served."""

    held: tuple[Example, ...]
    golden: tuple[Example, ...]
    served: int = 0

    @property
    def digest(self) -> str:
        """A digest of the rows and their labels."""
        parts = ["\x1e".join((e.id, e.label)) for e in (*self.held, *self.golden)]
        return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def ids(self) -> list[str]:
        """The ids of the held-out rows."""
        return [row.id for row in self.held]

    def watched(self) -> list[int]:
        """Places within held-out and then golden rows whose text is not that of an earlier one."""
        seen: set[str] = set()
        places = []
        for place, row in enumerate((*self.held, *self.golden)):
            key = text_key(row.text)
            if key not in seen:
                places.append(place)
            seen.add(key)
        return places


def case_of(store: Store, recipe: Recipe, task: str, channel: str, *, shared: bool) -> Case:
    """The rows that judge an adapter in a channel.

    Where a channel has no golden rows, a `shared` adapter is held to those of the task's other channels.
    """
    rows = [row for row in store.examples.of(task, [channel], ["test"]) if not row.golden]
    # Corrections are rows that the serving adapter got wrong: judging by them would favour any other.
    rows = [row for row in rows if row.origin != "feedback"]
    served = store.examples.decisions(task, [channel])
    spent = [row.id for row in rows if served.get(row.id, 0) >= recipe.gate.decisions]
    resting = set(spent) - official(store, spent)
    held = tuple(row for row in rows if row.id not in resting)
    golden = store.examples.golden(task, channel) or (store.examples.golden(task) if shared else [])
    return Case(held, tuple(golden), max((served.get(row.id, 0) for row in held), default=0))


def official(store: Store, ids: Sequence[str]) -> set[str]:
    """Those of these rows that their source named test rows, golden ones among them."""
    return {row for row, split in store.rows.given_splits(ids).items() if split == "test"}


def retire(store: Store, recipe: Recipe, task: str, *, clock: Clock, ids: IdMaker) -> int:
    """Let rows of a task that have served enough decisions train from now on; returns how many do."""
    limit, served = recipe.gate.decisions, store.examples.decisions(task)
    if all(count < limit for count in served.values()):
        return 0
    held = store.examples.of(task, None, ["test"])
    whole = official(store, [row.id for row in held]) | {row.id for row in held if row.golden}
    kept = {_first(row) for row in held if row.id in whole}
    spent = {_first(row) for row in held if served.get(row.id, 0) >= limit} - kept
    leaving = [row.id for row in held if _first(row) in spent]
    if leaving:
        said = f"{len(leaving)} held-out rows have served {limit} decisions: from now on they train."
        event = Event(ids("evt"), "held-out", task, None, said, {"rows": leaving}, clock())
        with store.transaction() as connection:
            store.examples.move_in(connection, leaving, "train")
            store.history.add_in(connection, event)
    return len(leaving)


def _first(row: Example) -> str:
    """The first of its near-duplicates."""
    return row.same_as or row.id
