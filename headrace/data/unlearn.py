"""What rows and examples would be, had some feedback never been given; and the store made so.

Two tellings of the same story, with that feedback and without it, differ by what it caused. The difference alone
is applied, so that what a story does not tell, as a label that was renamed since, stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from headrace.data.replay import Outcome, Place, Story, story, tell
from headrace.data.texts import text_key, tidy
from headrace.data.words import Reader
from headrace.recipe import Recipe
from headrace.records import Example, Feedback, utc_now
from headrace.store import Store, tables
from headrace.store.manifest import Manifest, Taught
from headrace.store.rows import set_states_in
from headrace.store.table import batches, values

_FIELDS = ("label", "split", "origin", "same_as")
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Unlearned:
    """A task's story `told` without some feedback, and its outcome with and without it.

    `rows` are the ids that rows made of this feedback have; `steps` when what is left would have been taken up.
    """

    task: str
    told: Story = field(default_factory=lambda: Story(""))
    before: Outcome = field(default_factory=lambda: Outcome({}))
    after: Outcome = field(default_factory=lambda: Outcome({}))
    rows: frozenset[str] = frozenset()
    steps: Mapping[str, int | None] = field(default_factory=dict)

    def manifest(self, known: Manifest, place: Place, feedback: Collection[str]) -> Manifest:
        """The rows that would have taught the adapter of `known`, trained at `place`, without the feedback."""
        was, now, step = self.before.at.get(place, {}), self.after.at.get(place, {}), place.step
        rows = [self._row(row, was.get(row.id), now.get(row.id), step, feedback) for row in known.rows]
        listed, channels = {row.id for row in known.rows}, {row.channel for row in known.rows}
        for example in now.values():
            fresh = example.id not in listed and not _same(was.get(example.id), example)
            if fresh and example.channel in channels and example.split != "test":
                rows.append(Taught.of(example, self._words(example, step)))
        return replace(known, rows=tuple(sorted((row for row in rows if row), key=lambda row: row.id)))

    def examples(self, known: Sequence[Example]) -> list[Example]:
        """Examples as they stand, without the feedback."""
        before, after = self.before.examples, self.after.examples
        gone = (before.keys() - after.keys()) | self.rows
        kept = {example.id: after.get(example.id, example) for example in known if example.id not in gone}
        channels = {example.channel for example in known}
        fresh = (after[name] for name in after.keys() - before.keys())
        kept |= {e.id: e for e in fresh if e.channel in channels and e.split != "test"}
        return [kept[name] for name in sorted(kept)]

    def _row(
        self, row: Taught, was: Example | None, now: Example | None, step: int, feedback: Collection[str]
    ) -> Taught | None:
        """A row as it would have been; None where it would not have been there."""
        if now is None:
            return None if was is not None or row.id in self.rows else _unsaid(row, feedback)
        fields = {
            name: getattr(now, name) for name in _FIELDS if getattr(was, name, None) != getattr(now, name)
        }
        if was is None or not fields:
            return _unsaid(row, feedback)
        changed = replace(row, **fields, feedback=tuple(self._words(now, step)))
        return None if changed.split == "test" else changed

    def _words(self, example: Example, step: int) -> list[str]:
        """The corrections up to a step that say of a text what its example says."""
        if example.origin != "feedback":
            return []
        place, keys = (example.channel, text_key(example.text)), self.told.keys
        here = [f for at, f in self.told.feedback if at <= step and (f.channel, keys[f.id]) == place]
        names, wanted = self.told.now, self.told.now.get(example.label, example.label)
        corrections = [f.id for f in here if f.label is not None and names.get(f.label, f.label) == wanted]
        return corrections or [f.id for f in here if f.label is None]


def unlearn(
    store: Store,
    recipe: Recipe,
    task: str,
    feedback: Sequence[Feedback],
    folder: Path,
    *,
    places: Collection[Place],
    held: Collection[str] = (),
) -> Unlearned:
    """A task without some of its feedback, told in `folder`; `places` are those of its adapters.

    What is `held` then counts no more either, and stays.
    """
    ids = {one.id for one in feedback}.union(held)
    whole = story(store, recipe, task, ids)
    told = whole.without(ids)
    made = Reader(store, recipe, clock=utc_now).words(feedback)
    before, after = tell(whole, recipe, folder, places), tell(told, recipe, folder, places)
    was = {one.id: step for step, one in whole.taken}
    moved = {n: step for n, step in whole.steps(ids).items() if step != was[n]}
    return Unlearned(task, told, before, after, frozenset(word.row.id for word in made), moved)


def apply_in(
    store: Store, connection: Connection, change: Unlearned, answers: Collection[str]
) -> tuple[dict[str, int], frozenset[str]]:
    """Make rows, examples and quarantine what they would be, in a transaction of the caller's.

    `answers` are those that go, by which rows name where they came from. Gives counts, and the rows deleted.
    """
    for name, step in change.steps.items():
        t = tables.feedback
        connection.execute(update(t).where(t.c.id == name).values(used=step is not None, step=step))
    rows = _rows_to_go(connection, change, answers)
    counts = {
        "quarantine": _quarantine(store, connection, change, rows),
        "examples": _examples(store, connection, change, rows),
        "relabelled": _relabel(connection, change),
        "rows": _rows(store, connection, change, rows),
    }
    return counts, frozenset(rows)


def _rows_to_go(connection: Connection, change: Unlearned, answers: Collection[str]) -> set[str]:
    """Rows of the feedback itself, whatever became of them; those that others' feedback makes as well stay."""
    t, found = tables.rows, set[str]()
    places = [f"answer {answer}" for answer in answers]
    for column, wanted in ((t.c.id, sorted(change.rows)), (t.c.place, sorted(places))):
        for some in batches(wanted, _BATCH):
            where = (t.c.task == change.task, t.c.origin == "feedback", column.in_(some))
            found |= set(connection.execute(select(t.c.id).where(*where)).scalars())
    return (found | (change.before.rows.keys() - change.after.rows.keys())) - change.after.rows.keys()


def _rows(store: Store, connection: Connection, change: Unlearned, gone: Collection[str]) -> int:
    """Delete rows, let those that stay name another answer, add those that others' feedback would have made."""
    t = tables.rows
    masked = [
        (row.task, row.channel, kind, n)
        for some in batches(sorted(gone), _BATCH)
        for row in connection.execute(select(t).where(t.c.id.in_(some)))
        for kind, n in row.masked.items()
    ]
    store.rows.remove_in(connection, sorted(gone))
    for task, channel, kind, n in masked:
        m = tables.masked
        where = (m.c.task == task, m.c.channel == channel, m.c.kind == kind)
        connection.execute(update(m).where(*where).values(count=m.c.count - n))
    for name, after in change.after.rows.items():
        before = change.before.rows.get(name)
        if before is None:
            store.rows.add_in(connection, [after.row], run="forget")
        elif before.row.place != after.row.place:
            connection.execute(update(t).where(t.c.id == name).values(place=after.row.place))
        if before is None or before.state != after.state:
            set_states_in(connection, {name: after.state})
    return len(gone)


def _quarantine(store: Store, connection: Connection, change: Unlearned, rows: Collection[str]) -> int:
    t, before, after = tables.quarantine, change.before.rejected, change.after.rejected
    gone = set(before.keys() - after.keys())
    for some in batches(sorted(rows), _BATCH):
        gone |= set(connection.execute(select(t.c.id).where(t.c.row.in_(some))).scalars())
    for some in batches(sorted(gone), _BATCH):
        connection.execute(delete(t).where(t.c.id.in_(some)))
    fresh = [after[name] for name in sorted(after.keys() - before.keys())]
    store.quarantine.add_in(connection, fresh, {r.id: text_key(tidy(r.content)) for r in fresh})
    return len(gone)


def _examples(store: Store, connection: Connection, change: Unlearned, rows: Collection[str]) -> int:
    """Take examples out, and put in their places those that would stand there."""
    t, before, after = tables.examples, change.before.examples, change.after.examples
    gone = (before.keys() - after.keys()) | set(rows)
    places: dict[tuple[str, str], int] = {}
    for some in batches(sorted(gone), _BATCH):
        for row in connection.execute(select(t).where(t.c.id.in_(some))):
            places[row.channel, row.text_key] = row.seq
    store.examples.remove_in(connection, sorted(gone))
    for name in sorted(after.keys() - before.keys()):
        example, key = after[name], text_key(after[name].text)
        place = places.get((example.channel, key))
        number = {} if place is None else {"seq": place}
        connection.execute(t.insert().values(values(example, text_key=key, **number)))
    return len(gone)


def _relabel(connection: Connection, change: Unlearned) -> int:
    """Let examples that stay say what the others said last, or the source; the owner's word stays."""
    t, count = tables.examples, 0
    for name in sorted(change.before.examples.keys() & change.after.examples.keys()):
        was, now = change.before.examples[name], change.after.examples[name]
        fields = {
            field: getattr(now, field) for field in _FIELDS if getattr(was, field) != getattr(now, field)
        }
        if fields:
            where = (t.c.id == name, t.c.origin != "owner", ~t.c.golden)
            count += connection.execute(update(t).where(*where).values(fields)).rowcount
    return count


def _same(one: Example | None, other: Example) -> bool:
    return one is not None and all(getattr(one, name) == getattr(other, name) for name in _FIELDS)


def _unsaid(row: Taught, feedback: Collection[str]) -> Taught:
    """A row without the feedback that is forgotten."""
    if not any(name in feedback for name in row.feedback):
        return row
    return replace(row, feedback=tuple(name for name in row.feedback if name not in feedback))
