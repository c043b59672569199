"""Feedback -> examples: what users said of answers becomes what the next turn learns from.

Everything that one call makes, and the mark that the feedback was used, is one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from headrace.data.neighbours import Neighbours
from headrace.data.reverts import Reverts, reverts
from headrace.data.shares import within_share
from headrace.data.split import hash_split
from headrace.data.verdicts import EQUALS_TEST, rejection, unknown_label, unusable
from headrace.data.words import SOURCE as SOURCE
from headrace.data.words import Reader, Word, last_words
from headrace.recipe import Recipe
from headrace.records import COUNTING, Clock, Example, Feedback, Rejected, Row, Split, content_id
from headrace.store import Store
from headrace.store.rows import set_states_in

Fate = Literal["added", "relabelled", "confirmed", "kept", "rejected", "nothing"]


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What became of unused feedback: `added` and `relabelled` examples by corrections, `confirmed` ones by
    "right"; `kept` examples that nobody but the owner or the source changes; `rejected` to quarantine;
    `reverted` examples of feedback that was undone.
    """

    read: int = 0
    added: int = 0
    relabelled: int = 0
    confirmed: int = 0
    kept: int = 0
    rejected: int = 0
    reverted: int = 0


@dataclass(slots=True)
class _Plan:
    fates: Counter[Fate] = field(default_factory=Counter)
    fresh: list[tuple[Row, Example, str]] = field(default_factory=list)
    relabelled: list[tuple[Row, Example]] = field(default_factory=list)
    rejected: list[tuple[Row, Rejected, str]] = field(default_factory=list)
    reverts: Reverts = field(default_factory=Reverts)


def absorb_feedback(store: Store, recipe: Recipe, *, clock: Clock) -> Absorbed:
    """Turn feedback that no turn has used into examples.

    The newest correction of a text wins, and any correction over "right". It relabels the example of the same
    text, whose split stays; golden ones and the source's own test rows stay as they are. A new text takes the
    split of its first near-duplicate, else that of its hash. "Right" makes an example only where none is.
    What is held teaches nothing; of what was undone, what it taught is taken back. One person's corrections
    beyond their share of the channel's rows wait.
    """
    waiting = store.feedback.waiting()
    undone = [feedback for feedback in waiting if feedback.state == "undone"]
    reader, plan = Reader(store, recipe, clock=clock), _Plan()
    words = reader.words(feedback for feedback in waiting if feedback.state in COUNTING)
    kept = within_share(store, recipe, reader, words)
    last = last_words(kept)
    for task in dict.fromkeys(word.row.task for word in last.values()):
        _plan_task(store, recipe, task, [w for w in last.values() if w.row.task == task], plan, clock)
    plan.reverts = reverts(store, reader, undone, last)
    waits = {word.feedback.id for word in words} - {word.feedback.id for word in kept}
    used = [feedback for feedback in waiting if feedback.id not in waits]
    if used:
        _keep(store, plan, used)
    f, back = plan.fates, len(plan.reverts.back) + len(plan.reverts.gone)
    read = len(used)
    return Absorbed(read, f["added"], f["relabelled"], f["confirmed"], f["kept"], f["rejected"], back)


def _plan_task(
    store: Store, recipe: Recipe, task: str, words: Sequence[Word], plan: _Plan, clock: Clock
) -> None:
    known = store.examples.by_text_key(task, [said.key for said in words])
    splits = store.rows.given_splits([e.id for same in known.values() for e in same if e.split == "test"])
    official = {row_id for row_id, split in splits.items() if split == "test"}
    fresh: list[tuple[Row, Example, str]] = []
    for said in words:
        same = known.get(said.key, [])
        fate = _reject(recipe, said, same, official, plan, clock) or _known(said, same, official, plan)
        if fate is None:
            fresh.append((said.row, _example(recipe, said, clock), said.key))
            fate = "added" if said.feedback.verdict == "correction" else "confirmed"
        plan.fates[fate] += 1
    if fresh:
        near = Neighbours(store, task, recipe.clean.near_duplicate)
        settled = near.settle([example for _, example, _ in fresh], given=())
        plan.fresh += [(row, e, key) for (row, _, key), e in zip(fresh, settled, strict=True)]


def _reject(
    recipe: Recipe, said: Word, same: Sequence[Example], official: set[str], plan: _Plan, clock: Clock
) -> Fate | None:
    """Send to quarantine what cannot be an example; None where it can."""
    row = said.row
    bad = unusable(row.text, recipe.clean.longest)
    if bad is None and (wrong := unknown_label(recipe, row.task, row.label or "")):
        bad = "unknown label", wrong
    elsewhere = next((e for e in same if e.id in official and e.channel != row.channel), None)
    here = any(e.channel == row.channel for e in same)
    if bad is None and elsewhere is not None and not here and _split(recipe, said.key) != "test":
        bad = EQUALS_TEST, f"the same text as the test row {elsewhere.id}"
    if bad is None:
        return None
    plan.rejected.append((row, rejection(row, *bad, clock()), said.key))
    return "rejected"


def _known(said: Word, same: Sequence[Example], official: set[str], plan: _Plan) -> Fate | None:
    """What a feedback does to the example of its own text; None where there is no such example."""
    here = [example for example in same if example.channel == said.row.channel]
    if not here:
        return None
    if said.feedback.verdict != "correction":
        return "nothing"
    open_ = [example for example in here if not example.golden and example.id not in official]
    plan.relabelled += [(said.row, example) for example in open_]
    return "relabelled" if open_ else "kept"


def _split(recipe: Recipe, key: str) -> Split:
    return hash_split(recipe.seed, key, recipe.clean.test_share)


def _example(recipe: Recipe, said: Word, clock: Clock) -> Example:
    row = said.row
    return Example(
        id=row.id,
        channel=row.channel,
        task=row.task,
        text=row.text,
        label=row.label or "",
        split=_split(recipe, said.key),
        origin="feedback",
        at=clock(),
    )


def _keep(store: Store, plan: _Plan, used: Sequence[Feedback]) -> None:
    rows = [row for row, _, _ in plan.fresh] + [row for row, _ in plan.relabelled]
    rows += [row for row, _, _ in plan.rejected]
    states: Mapping[str, str] = dict.fromkeys([row.id for row in rows], "clean") | dict.fromkeys(
        [row.id for row, _, _ in plan.rejected] + plan.reverts.gone, "rejected"
    )
    with store.transaction() as connection:
        store.rows.add_in(connection, rows, run=content_id("run", *(one.id for one in used)))
        store.examples.add_in(connection, [(example, key) for _, example, key in plan.fresh])
        for row, example in plan.relabelled:
            store.examples.relabel_in(connection, example.id, row.label or "", "feedback")
        for name, (label, origin) in plan.reverts.back.items():
            store.examples.relabel_in(connection, name, label, origin)
        store.examples.remove_in(connection, plan.reverts.gone)
        keys = {entry.id: key for _, entry, key in plan.rejected}
        store.quarantine.add_in(connection, [entry for _, entry, _ in plan.rejected], keys)
        set_states_in(connection, states)
        store.feedback.mark_used_in(connection, [one.id for one in used])
