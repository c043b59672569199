"""The examples of a task as they came about, told again with or without some feedback.

Rows and feedback go through `clean` and `absorb_feedback` a second time, in a store of their own, in the order of
the steps in which they did the first time. Only those are told again whose texts are, directly or through
others, near-duplicates of what the feedback was about: no other example can depend on it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from headrace.data.aliases import KIND, aliases
from headrace.data.clean import clean
from headrace.data.corrections import absorb_feedback
from headrace.data.duplicates import NearIndex, grams, jaccard
from headrace.data.neighbours import Neighbours
from headrace.data.schedule import rescheduled
from headrace.data.split import hash_split
from headrace.data.texts import normalised, text_key, tidy
from headrace.data.words import Reader
from headrace.recipe import Recipe, TrustRecipe
from headrace.records import Adapter, Answer, Event, Example, Feedback, Rejected, Row, utc_now
from headrace.store import Store
from headrace.store.rows import Judged, set_states_in
from headrace.store.table import batches

_STEP = 1000  # texts compared at a time


class Place(NamedTuple):
    """A moment of a task: after which step of what makes examples, and how many changes of its labels."""

    step: int
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """Rows and feedback around some texts of a task, each with its step, in their order, as they were given.

    `labels` are the owner's changes of labels, `now` what each former label is called since. `keys` are those of
    the texts of feedback, by its id; `taken` is all of the task's feedback that was taken up, near or far.
    """

    task: str
    rows: Sequence[tuple[int, Row]] = ()
    feedback: Sequence[tuple[int, Feedback]] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    labels: Sequence[tuple[Place, Event]] = ()
    now: Mapping[str, str] = field(default_factory=dict)
    taken: Sequence[tuple[int, Feedback]] = ()
    waited: Sequence[Feedback] = ()
    trust: TrustRecipe = field(default_factory=TrustRecipe)

    def steps(self, without: Collection[str]) -> dict[str, int | None]:
        """When each feedback would have been taken up `without` some; None for what would still wait."""
        return rescheduled(self.taken, without, self.keys, self.trust, self.waited)

    def without(self, feedback: Collection[str]) -> Story:
        """The same, had this feedback not been given; what would then wait is left out."""
        steps = self.steps(feedback)
        told = [(step, one) for _, one in self.feedback if (step := steps.get(one.id)) is not None]
        return replace(self, feedback=sorted(told, key=lambda item: item[0]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a story made: its examples by id at each place asked for, and what there is at the end."""

    at: Mapping[Place, Mapping[str, Example]]
    rows: Mapping[str, Judged] = field(default_factory=dict)
    examples: Mapping[str, Example] = field(default_factory=dict)
    rejected: Mapping[str, Rejected] = field(default_factory=dict)


def story(store: Store, recipe: Recipe, task: str, about: Collection[str]) -> Story:
    """All that feedback with the ids `about` can have had an effect on, however far; reads the task once."""
    words, waited = store.feedback.absorbed(task), store.feedback.list(task=task, used=False, state="counts")
    reader = Reader(store, recipe, clock=utc_now)
    each = [*(one for _, one in words), *waited]
    said = {one.id: reader.word(one, one.label or "") for one in each}
    keys = {name: word.key for name, word in said.items()}
    moved = rescheduled(words, about, keys, recipe.trust, waited)
    seeds = {keys[one.id] for step, one in words if one.id in about or moved[one.id] != step}
    if not seeds:
        return Story(task)
    texts, given = {word.key: normalised(word.row.text) for word in said.values()}, dict[str, Row]()
    for row in _rows(store, task):
        texts[text_key(tidy(row.text))] = normalised(tidy(row.text))
        if row.origin == "feedback":
            given[row.place] = row
    circle = _circle(texts, seeds, recipe.clean.near_duplicate)
    rows = [one for some in store.rows.judged(task) for one in some if one.row.origin != "feedback"]
    mine = [(one.step, one.row) for one in rows if text_key(tidy(one.row.text)) in circle]
    labels = _changes(store, task)
    near = [(step, _first(step, one, given, labels)) for step, one in words if keys[one.id] in circle]
    answers = {one.answer: store.answers.get(one.answer) for _, one in near}
    return Story(task, mine, near, keys, answers, labels, aliases(store, task), words, waited, recipe.trust)


def place_of(adapter: Adapter) -> Place:
    """When an adapter was trained, as its lineage says; the beginning for one of an earlier version."""
    found = [adapter.lineage.get(name, 0) for name in ("step", "changes")]
    step, changes = (number if isinstance(number, int) else 0 for number in found)
    return Place(step, changes)


def _changes(store: Store, task: str) -> list[tuple[Place, Event]]:
    """The changes of a task's labels, each after the last step that an adapter of before had seen."""
    places = [place_of(adapter) for adapter in store.history.adapters(task)]
    return [
        (Place(max((at.step for at in places if at.changes <= number), default=0), number + 1), event)
        for number, event in enumerate(store.history.of_kind(KIND, task))
    ]


def _first(
    step: int, one: Feedback, given: Mapping[str, Row], labels: Sequence[tuple[Place, Event]]
) -> Feedback:
    """A feedback with the label that it was given: its row's, else with later names taken back.

    Which of several labels that were merged it was, only its row can say.
    """
    if one.label is None:
        return one
    row = given.get(f"answer {one.answer}")
    if row is not None:
        return replace(one, label=row.label)
    label = one.label
    for at, event in reversed(labels):
        replaced = event.evidence.get("replaced")
        if at.step >= step and event.evidence.get("label") == label and isinstance(replaced, list | tuple):
            label = str(replaced[0]) if len(replaced) == 1 else label
    return replace(one, label=label)


def tell(story: Story, recipe: Recipe, folder: Path, places: Collection[Place] = ()) -> Outcome:
    """Tell it again in a store of its own in `folder`, which is emptied before and is gone afterwards."""
    # Labels that were listed then may have other names in today's recipe.
    open_ = recipe.task(story.task).model_copy(update={"labels": ()})
    recipe = recipe.model_copy(update={"tasks": {story.task: open_}})
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with Store.open("replay.db", folder, create=True).closing() as scratch:
            return _tell(scratch, story, recipe, sorted(places))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rows(store: Store, task: str) -> Iterator[Row]:
    for some in store.rows.judged(task):
        yield from (one.row for one in some)


def _circle(texts: Mapping[str, str], seeds: Collection[str], threshold: float) -> set[str]:
    """The keys of all texts that are joined to those of `seeds` by near-duplicates."""
    index, first = NearIndex(threshold), {key: key for key in texts}

    def found(key: str) -> str:
        while first[key] != key:
            first[key] = first[first[key]]
            key = first[key]
        return key

    for some in batches(texts, _STEP):
        for key, names in zip(some, index.add(some, [texts[key] for key in some]), strict=True):
            own = grams(texts[key]) if names else frozenset[str]()
            for other in names:
                if jaccard(own, grams(texts[other])) >= threshold:
                    first[found(key)] = found(other)
    roots = {found(key) for key in seeds}
    return {key for key in texts if found(key) in roots}


def _tell(scratch: Store, story: Story, recipe: Recipe, places: Sequence[Place]) -> Outcome:
    scratch.answers.add(list(story.answers.values()))
    waiting, at = list(places), dict[Place, Mapping[str, Example]]()
    for place, rows, words, change in _in_order(story):
        while waiting and waiting[0] < place:
            at[waiting.pop(0)] = _examples(scratch, story.task)
        if change is None:
            _take(scratch, recipe, rows, words)
        else:
            _rename(scratch, story.task, change)
    at |= dict.fromkeys(waiting, _examples(scratch, story.task))
    every = (one for some in scratch.rows.judged(story.task) for one in some)
    rejected = scratch.quarantine.list(limit=None)
    ended = {one.row.id: one for one in every}, _examples(scratch, story.task), {r.id: r for r in rejected}
    return Outcome(at, *ended)


def _in_order(story: Story) -> Iterator[tuple[Place, list[Row], list[Feedback], Event | None]]:
    """The rows and the feedback of each step, or the change of labels, of each place."""
    items: list[tuple[Place, Row | Feedback | Event]] = [
        *((Place(step), row) for step, row in story.rows),
        *((Place(step), one) for step, one in story.feedback),
        *story.labels,
    ]
    for place, same in groupby(sorted(items, key=lambda item: item[0]), key=lambda item: item[0]):
        every = [one for _, one in same]
        rows, words = [r for r in every if isinstance(r, Row)], [f for f in every if isinstance(f, Feedback)]
        yield place, rows, words, next((one for one in every if isinstance(one, Event)), None)


def _rename(scratch: Store, task: str, change: Event) -> None:
    """Let examples and feedback have the new label, as the owner's word did."""
    replaced, label = change.evidence.get("replaced", ()), str(change.evidence.get("label"))
    old = [str(name) for name in replaced] if isinstance(replaced, list | tuple) else []
    with scratch.transaction() as connection:
        if old:
            scratch.examples.rename_in(connection, task, old, label)
            scratch.feedback.relabel_in(connection, task, old, label)
        scratch.history.add_in(connection, change)


def _take(scratch: Store, recipe: Recipe, rows: Sequence[Row], words: Sequence[Feedback]) -> None:
    moment = max([row.at for row in rows] + [one.at for one in words])
    sources = [row for row in rows if row.origin == "source"]
    scratch.rows.add(sources, run="replay")
    clean(scratch, recipe, clock=lambda: moment)
    for row in rows:
        if row.origin == "owner" and row.label is not None:
            _restore(scratch, recipe, row)
    with scratch.transaction() as connection:
        for one in words:
            # As the owner's: what others may teach was decided where there were more rows and words than here.
            scratch.feedback.add_in(connection, replace(one, used=False, person=None, key=None))
    absorb_feedback(scratch, recipe, clock=lambda: moment)


def _restore(scratch: Store, recipe: Recipe, row: Row) -> None:
    """What the owner took back from quarantine stands, as `quarantine.restore` lets it."""
    key, label = text_key(row.text), row.label or ""
    same = scratch.examples.by_text_key(row.task, [key]).get(key, [])
    here = [example.id for example in same if example.channel == row.channel]
    split = row.split or hash_split(recipe.seed, key, recipe.clean.test_share)
    made = Example(row.id, row.channel, row.task, row.text, label, split, "owner", row.at)
    near = Neighbours(scratch, row.task, recipe.clean.near_duplicate)
    settled = [] if here else near.settle([made], given={row.id} if row.split else ())
    with scratch.transaction() as connection:
        scratch.rows.add_in(connection, [row], run="replay")
        set_states_in(connection, {row.id: "clean"})
        scratch.examples.add_in(connection, [(example, key) for example in settled])
        for name in here:
            scratch.examples.relabel_in(connection, name, label, "owner")


def _examples(scratch: Store, task: str) -> dict[str, Example]:
    return {example.id: example for example in scratch.examples.of(task)}
