"""What a task's next shared adapter begins from: the one that serves, where that is worth its while.

Where nothing has come in since it was trained it is the one that there will be. Where little has, by `NEWS`, the
delta that serves stays, and the head alone is fitted again, on all rows, old ones and new: features of old rows
are cached, so none has to be left out for the new ones to be heard. It is pulled to the head that was trained
with the delta, never to one that was fitted again, so that many small turns do not add up to a creeping one.
Where more has come in, or the recipe has changed, or no more than a head would be tried, an adapter is trained
from scratch: of the same rows a head comes out as good whatever it begins from, and no sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.data.aliases import aliases
from headrace.recipe import Recipe
from headrace.records import Adapter, Example
from headrace.store import Store
from headrace.store.manifest import Manifest, manifest_of

NEWS = 0.1
"""Share of rows that came, went or changed their label since the last training from scratch, at most."""

CLIMBS = 1000
"""Training rows from which a training from scratch may try more than the head."""


@dataclass(frozen=True)
class Beginning:
    """`adapter` is the one that there will be (`same`), or the one to begin from: the last from scratch."""

    adapter: Adapter
    same: bool


def beginning(store: Store, recipe: Recipe, task: str, examples: Sequence[Example]) -> Beginning | None:
    """What the shared adapter of a task begins from when these examples are to teach it; None: from scratch."""
    serving = _serving(store, task)
    manifest = None if serving is None else manifest_of(store.artifacts, serving)
    if serving is None or manifest is None or not _as_now(recipe, task, manifest):
        return None
    rows = {(e.id, e.label, e.split, e.origin) for e in examples if not e.golden}
    taught = {(row.id, row.label, row.split, row.origin) for row in manifest.rows}
    fitted = serving.lineage.get("method") == "label"
    if rows == taught and not fitted:
        return Beginning(serving, same=True)
    first = store.history.adapter(str(serving.lineage.get("whole", serving.id)))
    climbs = recipe.train.method != "head" and sum(e.split == "train" for e in examples) >= CLIMBS
    if not climbs or _news(store, first, task, examples) > NEWS:
        return None
    return Beginning(first, same=False)


def _serving(store: Store, task: str) -> Adapter | None:
    """The newest shared adapter that serves anywhere."""
    found = [store.history.adapter(r.adapter) for r in store.history.serving() if r.task == task]
    shared = [adapter for adapter in found if adapter.channel is None]
    return max(shared, key=lambda adapter: adapter.at, default=None)


def _as_now(recipe: Recipe, task: str, manifest: Manifest) -> bool:
    """Whether it was trained as the recipe says now."""
    now = {
        "task": recipe.task(task).model_dump(mode="json"),
        "train": recipe.train.model_dump(mode="json"),
        "memory": recipe.memory.model_dump(mode="json"),
        "seed": recipe.seed,
        "drawn": recipe.seed,
    }
    return all(manifest.settings.get(key) == value for key, value in now.items())


def _news(store: Store, first: Adapter, task: str, examples: Sequence[Example]) -> float:
    """The share of rows that are not what they were when the adapter `first` was trained."""
    then = manifest_of(store.artifacts, first)
    if then is None:
        return 1.0
    now = aliases(store, task)
    rows = {(e.id, e.label) for e in examples if not e.golden}
    taught = {(row.id, now.get(row.label, row.label)) for row in then.rows}
    return len({name for name, _ in rows ^ taught}) / max(1, len(rows))
