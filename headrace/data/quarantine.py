"""The owner takes rejected rows back, as they are or corrected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace.data.mask import Masker
from headrace.data.neighbours import Neighbours
from headrace.data.split import hash_split
from headrace.data.texts import text_key, tidy
from headrace.data.verdicts import unknown_label, unusable
from headrace.errors import Conflict, InputError, NotFound
from headrace.recipe import Recipe
from headrace.records import Clock, Example, Rejected, Row, Split, content_id
from headrace.store import Store
from headrace.store.rows import State, set_states_in

DOCUMENTS = "Knowledge"
"""Stands for the task of what was rejected of documents; no task of a recipe can have this name."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a bulk restore did; `refused` gives the reason by id."""

    restored: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)


def restore(
    store: Store,
    recipe: Recipe,
    rejected_id: str,
    *,
    text: str | None = None,
    label: str | None = None,
    clock: Clock,
) -> Example | Row:
    """Take a rejected row back, with another text or label where given; the owner's word stands.

    An Example where it has a label, else an unlabelled Row. The example of the same text takes the label.
    Raises NotFound, Conflict where it is back or an example already, InputError where it still is no row.
    """
    entry = store.quarantine.get(rejected_id)
    if entry.restored is not None:
        raise Conflict(f"{rejected_id!r} is back already.", cure="See: headrace quarantine list")
    row = _row(store, recipe, entry, text, label, clock)
    if row.label is None:
        _keep(store, entry, row, None, "unlabelled", clock)
        return row
    key = text_key(row.text)
    same = store.examples.by_text_key(row.task, [key]).get(key, [])
    here = next((example for example in same if example.channel == row.channel), None)
    if here is not None:
        return _relabel(store, entry, row, here, clock)
    example = _example(store, recipe, row, key, same, clock)
    _keep(store, entry, row, (example, key), "clean", clock)
    return example


def restore_all(
    store: Store,
    recipe: Recipe,
    reason: str,
    *,
    task: str | None = None,
    channel: str | None = None,
    label: str | None = None,
    clock: Clock,
) -> Restored:
    """Take back all that was rejected for `reason`; what cannot be is said and stays."""
    done, refused = 0, {}
    for rejected_id in store.quarantine.ids(reason, task, channel):
        try:
            restore(store, recipe, rejected_id, label=label, clock=clock)
            done += 1
        except (InputError, Conflict) as error:
            refused[rejected_id] = error.message
    return Restored(done, refused)


def _row(
    store: Store, recipe: Recipe, entry: Rejected, text: str | None, label: str | None, clock: Clock
) -> Row:
    """The row as it comes back; raises InputError where it is none."""
    if entry.task == DOCUMENTS:
        raise InputError(
            f"what came in at {entry.place} belongs to a document, not to a row.",
            where=entry.id,
            cure="Correct the document, and run: headrace knowledge sync",
        )
    if entry.row is None and text is None:
        raise InputError(
            f"what came in at {entry.place} was never a row: {entry.reason}.",
            where=entry.id,
            field="text",
            cure="Give its text, and its label where it has one.",
        )
    language = recipe.channels[entry.channel].language if entry.channel in recipe.channels else ""
    said, masked = Masker(recipe.clean.mask, language).mask(tidy(entry.content if text is None else text))
    said_label = entry.label if label is None else label
    _check(recipe, entry, said, said_label)
    before = _before(store, entry)
    return Row(
        id=_id(store, entry, before, said, said_label),
        channel=entry.channel,
        task=entry.task,
        source=entry.source,
        text=said,
        label=said_label,
        split=before.split if before else None,
        place=entry.place,
        at=clock(),
        origin="owner",
        masked=masked,
    )


def _before(store: Store, entry: Rejected) -> Row | None:
    """The row that was rejected, where it had become one."""
    try:
        return store.rows.get(entry.row) if entry.row else None
    except NotFound:
        return None


def _id(store: Store, entry: Rejected, before: Row | None, text: str, label: str | None) -> str:
    """The row's own id where it comes back as it was and no example has it, else one of the owner's."""
    same = before is not None and tidy(before.text) == text and before.label == label
    if before is not None and same and not store.examples.get([before.id]):
        return before.id
    return content_id("row", entry.channel, entry.task, "owner", text, label or "")


def _check(recipe: Recipe, entry: Rejected, text: str, label: str | None) -> None:
    bad = unusable(text, None)
    if bad is not None:
        raise InputError(
            f"the text is {bad[0]}: {bad[1]}.", where=entry.id, field="text", cure="Give its text."
        )
    wrong = unknown_label(recipe, entry.task, label) if label is not None else ""
    if wrong:
        raise InputError(f"{wrong}.", where=entry.id, field="label", cure="Give one of the task's labels.")


def _relabel(store: Store, entry: Rejected, row: Row, here: Example, clock: Clock) -> Example:
    """The example of the same text gets the owner's label; raises Conflict where it has it already."""
    label = row.label or ""
    if here.label == label:
        raise Conflict(
            f"the same text is an example already, labelled {label!r}.",
            where=entry.id,
            cure="Give another text or label, or leave it.",
        )
    with store.transaction() as connection:
        store.examples.relabel_in(connection, here.id, label, "owner")
        store.quarantine.mark_restored_in(connection, entry.id, clock())
    return store.examples.get([here.id])[0]


def _example(
    store: Store, recipe: Recipe, row: Row, key: str, same: Sequence[Example], clock: Clock
) -> Example:
    """The example with its split; raises Conflict where a training row would equal a test row."""
    split = row.split or hash_split(recipe.seed, key, recipe.clean.test_share)
    tests = [example.id for example in same if example.split == "test"]
    if split != "test" and "test" in _given(store, tests):
        raise Conflict(
            f"the same text is the test row {tests[0]}.",
            where=row.id,
            cure="Give another text, or leave it: training on it would spoil the test.",
        )
    made = Example(row.id, row.channel, row.task, row.text, row.label or "", split, "owner", clock())
    near = Neighbours(store, row.task, recipe.clean.near_duplicate)
    return near.settle([made], given={row.id} if row.split else ())[0]


def _given(store: Store, ids: Sequence[str]) -> set[Split]:
    return set(store.rows.given_splits(ids).values())


def _keep(
    store: Store,
    entry: Rejected,
    row: Row,
    example: tuple[Example, str] | None,
    state: State,
    clock: Clock,
) -> None:
    with store.transaction() as connection:
        store.rows.add_in(connection, [row], run=f"restore {entry.id}"[:64])
        store.examples.add_in(connection, [example] if example else [])
        set_states_in(connection, {row.id: state})
        store.quarantine.mark_restored_in(connection, entry.id, clock())
