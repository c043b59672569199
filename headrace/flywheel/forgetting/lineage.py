"""Who taught an adapter: its rows and what users said for them are written down, and found again by descent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from headrace.data.aliases import KIND
from headrace.data.texts import text_key
from headrace.data.words import Reader
from headrace.recipe import Recipe
from headrace.records import Adapter, Example, utc_now
from headrace.store import Store
from headrace.store.manifest import Manifest, Taught, manifest_of
from headrace.tuning.lesson import Lesson

Place = tuple[str, str]  # channel, key of the text


def written(
    store: Store,
    recipe: Recipe,
    task: str,
    lesson: Lesson,
    start: Adapter | None,
    graph_of: str | None,
    taught: Sequence[Taught] | None = None,
) -> Manifest:
    """What an adapter is made from, as it stands when it is trained: all that training it again takes.

    `taught` is the list of its rows where one that is trained again has it already.
    """
    rows = tuple(_taught(store, recipe, task, lesson) if taught is None else taught)
    settings = {
        "task": lesson.task.model_dump(mode="json"),
        "train": lesson.settings.model_dump(mode="json"),
        "memory": recipe.memory.model_dump(mode="json"),
        "seed": recipe.seed,
        "drawn": lesson.seed,
    } | ({"again": True} if lesson.again else {})
    return Manifest(rows, settings, start.id if start else None, graph_of)


def _taught(store: Store, recipe: Recipe, task: str, lesson: Lesson) -> list[Taught]:
    """The rows of a lesson, with what users said for them up to now."""
    examples = sorted((*lesson.training, *lesson.validation), key=lambda example: example.id)
    words = _words(store, recipe, task, {e.channel for e in examples if e.origin == "feedback"})
    return [Taught.of(example, _said(example, words)) for example in examples]


def place_now(store: Store, task: str) -> dict[str, int]:
    """Where an adapter stands that is trained now: after which step of what makes examples, and after how many
    changes of its task's labels.
    """
    return {"step": store.steps.latest(), "changes": len(store.history.of_kind(KIND, task))}


def maker_of_graph(store: Store, adapter: Adapter) -> str | None:
    """The adapter whose rows calibrated the graph of this one; None where no rows did, as in fp32."""
    found = manifest_of(store.artifacts, adapter)
    if found is None:
        return adapter.id
    task = found.settings.get("task")
    exact = isinstance(task, Mapping) and task.get("precision") == "fp32"
    return None if exact else found.graph_of or adapter.id


def descent(adapters: Iterable[tuple[Adapter, Manifest | None]], taught: Collection[str]) -> set[str]:
    """The adapters with the ids `taught`, and all that were begun from one of them or share such a one's graph.

    `adapters` stand in the order in which they were made.
    """
    found = set(taught)
    for adapter, manifest in adapters:
        kin = {adapter.parent, manifest.start if manifest else None, manifest.graph_of if manifest else None}
        if kin & found:
            found.add(adapter.id)
    return found


def _words(
    store: Store, recipe: Recipe, task: str, channels: Iterable[str]
) -> dict[Place, list[tuple[str, str | None]]]:
    """What users said of each text and what examples were made of: ids and labels, None for "right"."""
    found: dict[Place, list[tuple[str, str | None]]] = {}
    reader = Reader(store, recipe, clock=utc_now)
    for channel in sorted(channels):
        for one in store.feedback.list(task=task, channel=channel, used=True, state="counts"):
            if one.label is not None or one.verdict == "right":
                word = reader.word(one, one.label or "")
                found.setdefault((channel, word.key), []).append((one.id, one.label and word.row.label))
    return found


def _said(example: Example, words: Mapping[Place, Sequence[tuple[str, str | None]]]) -> list[str]:
    """The corrections that gave an example its label, else what confirmed it."""
    if example.origin != "feedback":
        return []
    here = words.get((example.channel, text_key(example.text)), ())
    corrections = [name for name, label in here if label == example.label]
    return corrections or [name for name, label in here if label is None]
