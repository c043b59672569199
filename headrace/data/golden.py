"""Golden rows: examples that only the owner adds, changes and removes. They judge, and nothing trains on them.

A golden row counts as a test row: a training row that equals one leaves training, in every channel of the task,
and a row that comes later and equals one does not train either. What was said about an answer changes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.data.aliases import aliases
from headrace.data.connectors import Broken, Raw
from headrace.data.connectors.files import Options, Part
from headrace.data.mask import Masker
from headrace.data.texts import text_key, tidy
from headrace.data.verdicts import Judge, Outcome, unknown_label, unusable
from headrace.errors import InputError, NotFound
from headrace.recipe import Recipe
from headrace.records import Clock, Event, Example, IdMaker, Row, content_id
from headrace.store import Store
from headrace.store.rows import set_states_in

SOURCE = "golden"
_TOLD = 5  # mistakes of a file in one message


@dataclass(frozen=True, slots=True)
class Golden:
    """What a call did: rows `added`, `changed` to another label, `known` already; examples that `left` others."""

    added: int = 0
    changed: int = 0
    known: int = 0
    left: int = 0


def read_golden(
    file: Path, *, text: str | None = None, label: str | None = None, encoding: str = "auto"
) -> list[Raw | Broken]:
    """The rows of a file in any format that a source may have; raises InputError, NotFound."""
    options = Options(path=str(file.resolve()), text=text, label=label, encoding=encoding)
    found = Part(options, file.parent).read(None)
    return [item for item in found if isinstance(item, Raw | Broken)]


def add_golden(
    store: Store,
    recipe: Recipe,
    found: Iterable[Raw | Broken],
    *,
    task: str,
    channel: str,
    clock: Clock,
    ids: IdMaker,
) -> Golden:
    """Make golden rows of what was read, all or none; one with the text of a golden row changes its label.

    Raises InputError with every mistake where something has no text, no label or an unknown one.
    """
    rows = _rows(store, recipe, list(found), task, channel, clock)
    now = {text_key(e.text): e for e in store.examples.golden(task, channel)}
    fresh = [row for key, row in rows.items() if key not in now or now[key].label != row.label]
    changed = [now[text_key(row.text)].id for row in fresh if text_key(row.text) in now]
    outcome = Judge(store, recipe, task, fresh, clock()).judge()
    done = Golden(len(fresh) - len(changed), len(changed), len(rows) - len(fresh), len(outcome.removed))
    if fresh:
        said = f"Golden rows: {done.added} added, {done.changed} changed."
        event = Event(ids("evt"), "golden", task, channel, said, {"rows": [r.id for r in fresh]}, clock())
        _keep(store, fresh, changed, outcome, event, ids("run"))
    return done


def _keep(
    store: Store, fresh: Sequence[Row], changed: Sequence[str], outcome: Outcome, event: Event, run: str
) -> None:
    """Store all of it, in one transaction."""
    made = [replace(example, golden=True, origin="owner") for example in outcome.accepted.values()]
    states = {entry.row: "rejected" for entry in outcome.rejected if entry.row}
    with store.transaction() as connection:
        store.examples.remove_in(connection, [*outcome.removed, *changed])
        store.rows.remove_in(connection, changed)
        store.rows.add_in(connection, fresh, run=run)
        store.examples.add_in(connection, [(example, outcome.keys[example.id]) for example in made])
        store.quarantine.add_in(connection, outcome.rejected, outcome.keys)
        set_states_in(connection, states | {row.id: "clean" for row in fresh})
        store.history.add_in(connection, event)


def remove_golden(store: Store, wanted: Sequence[str], *, clock: Clock, ids: IdMaker) -> list[Example]:
    """Take golden rows out, all or none; what left training because of them stays in quarantine.

    Raises NotFound where one of the ids is not a golden row's.
    """
    known = {example.id: example for example in store.examples.golden()}
    found = [_known(known, name) for name in dict.fromkeys(wanted)]
    with store.transaction() as connection:
        store.examples.remove_in(connection, [example.id for example in found])
        store.rows.remove_in(connection, [example.id for example in found])
        for task, channel in dict.fromkeys((e.task, e.channel) for e in found):
            gone = [e.id for e in found if (e.task, e.channel) == (task, channel)]
            said = f"Golden rows: {len(gone)} removed."
            event = Event(ids("evt"), "golden", task, channel, said, {"rows": gone}, clock())
            store.history.add_in(connection, event)
    return found


def _known(known: dict[str, Example], name: str) -> Example:
    if name not in known:
        raise NotFound(f"there is no golden row {name!r}.", cure="See: headrace golden list")
    return known[name]


def _rows(
    store: Store, recipe: Recipe, found: Sequence[Raw | Broken], task: str, channel: str, clock: Clock
) -> dict[str, Row]:
    """The rows by the keys of their texts; raises InputError with the mistakes of all."""
    masker = Masker(recipe.clean.mask, recipe.channel(channel).language)
    now, at = aliases(store, task), clock()
    rows: dict[str, Row] = {}
    wrong: list[str] = []
    for item in found:
        if isinstance(item, Broken):
            wrong.append(f"{item.place}: {item.reason}: {item.detail}")
            continue
        text, masked = masker.mask(tidy(item.text))
        label = now.get(item.label or "", item.label or "")
        key = text_key(text)
        said = _wrong(recipe, task, text, label, rows.get(key))
        if said:
            wrong.append(f"{item.place}: {said}")
        name = content_id("row", channel, task, SOURCE, text, label)
        place = item.place
        rows[key] = Row(name, channel, task, SOURCE, text, label, "test", place, at, "owner", masked)
    if wrong or not rows:
        more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise InputError(
            f"not every row can be a golden one: {'; '.join(wrong[:_TOLD])}{more}."
            if wrong
            else "there are no rows in it.",
            cure="Correct them, then add the file again: a row needs a text and a label; none was added.",
        )
    return rows


def _wrong(recipe: Recipe, task: str, text: str, label: str, before: Row | None) -> str:
    """What is wrong with a row; empty where nothing is."""
    if bad := unusable(text, None):
        return ": ".join(bad)
    if not label:
        return "no label"
    if before is not None and before.label != label:
        return f"{before.place} has the same text and the label {before.label!r}"
    return unknown_label(recipe, task, label)
