"""A script of store verbs, drawn by a seed: what every fault is thrown at, and how to see what is left of it.

Each step is idempotent, as the verbs of the project are, and what it stores stays: so a step that was
acknowledged must be seen ever after, and one that was not is there whole or not at all.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Table, select

from headrace.errors import NotFound
from headrace.records import Adapter, Answer, Event, Example, Feedback, Key, Rejected, Release, Report, Row
from headrace.store import Reply, Store, TurnState, tables

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEED = int(os.environ.get("HEADRACE_SEED", "7"))


@dataclass(frozen=True)
class Step:
    """One verb: `do` it; `seen` says of each of its parts whether it is there."""

    name: str
    do: Callable[[Store], None]
    seen: Callable[[Store], Sequence[bool]]


def script(seed: int, length: int) -> list[Step]:
    """`length` steps; the same seed gives the same steps."""
    draw = random.Random(seed)
    makers = [_collect, _settle, _reject, _adapter, _release, _answers, _used, _key, _cursor, _turn]
    return [draw.choice(makers)(f"{seed}-{number}", draw) for number in range(length)]


def run(store: Store, steps: Sequence[Step], acknowledge: Callable[[Step], None]) -> None:
    """Do the steps one after the other, each acknowledged once it returned."""
    for step in steps:
        step.do(store)
        acknowledge(step)


def check(store: Store, steps: Sequence[Step], acknowledged: Sequence[Step], said: str = "") -> None:
    """Raises AssertionError where an acknowledged step lacks a part, or another is there by halves."""
    whole(store, said)
    names = {step.name for step in acknowledged}
    for step in steps:
        seen = step.seen(store)
        if step.name in names:
            assert all(seen), f"lost after it was acknowledged: {step.name} {seen} {said}"
        else:
            assert len(set(seen)) == 1, f"there by halves: {step.name} {seen} {said}"


def whole(store: Store, said: str = "") -> None:
    """Raises AssertionError where the database's own check finds damage."""
    if not store.database.is_sqlite:
        return
    with store.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok", said
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").first() is None, said


def opened(folder: Path, location: str = "store.db", busy_seconds: float = 30) -> Store:
    """The store in `folder`, created where it is not there."""
    return Store.open(location, folder, create=True, busy_seconds=busy_seconds)


def row(name: str, text: str = "fine", at: datetime = NOW) -> Row:
    """A row called `name`."""
    return Row(f"row_{name}", "shop", "mood", "a", f"{text} {name}", "good", None, f"a.csv:{name}", at)


def answer(name: str) -> Answer:
    """An answer called `name`."""
    return Answer(f"ans_{name}", "shop", "mood", "fine " * 40, "good", 0.5, "rel_1", "adp_1", NOW)


def correction(name: str, of: str | None = None) -> Feedback:
    """A correction of the answer `of`, by default of the one with the same name."""
    return Feedback(f"fb_{name}", f"ans_{of or name}", "shop", "mood", "fine", "correction", "bad", NOW)


def adapter(name: str, files: dict[str, str] | None = None) -> Adapter:
    """An adapter called `name`."""
    labels = ("bad", "good")
    return Adapter(f"adp_{name}", "mood", None, "base", labels, files or {}, {"n": 3}, 9, 1.5, NOW)


def has(find: Callable[[], object]) -> bool:
    """Whether `find` finds it."""
    try:
        return find() is not None
    except NotFound:
        return False


def _there(store: Store, table: Table, ids: Sequence[str]) -> list[bool]:
    """Of each id whether the table has it, exactly once."""
    with store.database.read() as connection:
        found = connection.execute(select(table.c.id).where(table.c.id.in_(ids))).scalars().all()
    assert len(found) == len(set(found)), f"twice in {table.name}"
    return [wanted in found for wanted in ids]


def _rows(store: Store, rows: Sequence[Row]) -> list[bool]:
    return _there(store, tables.rows, [r.id for r in rows])


def _collect(name: str, draw: random.Random) -> Step:
    rows = [row(f"{name}-{i}", "x" * draw.randint(1, 600)) for i in range(draw.randint(1, 30))]
    return Step(
        f"collect {name}",
        lambda store: (store.rows.add(rows, run=name), None)[1],
        lambda store: _rows(store, rows),
    )


def _settle(name: str, draw: random.Random) -> Step:
    rows = [row(f"{name}-{i}") for i in range(draw.randint(1, 9))]
    found = [Example(r.id, "shop", "mood", r.text, "good", "train", "source", NOW) for r in rows]
    reject = _rejected(name)

    def do(store: Store) -> None:
        store.rows.add(rows, run=name)
        store.examples.settle([(e, e.id) for e in found], [reject], {r.id: "clean" for r in rows})

    def seen(store: Store) -> list[bool]:
        there = {e.id for e in store.examples.get([e.id for e in found])}
        waiting = {r.id for batch in store.rows.pending() for r in batch}
        if all(r.id in waiting for r in rows):  # only the first of the two transactions
            assert not there
            return [False]
        settled = [seen and r.id not in waiting for r, seen in zip(rows, _rows(store, rows), strict=True)]
        return [*(e.id in there for e in found), *settled, *_there(store, tables.quarantine, [reject.id])]

    return Step(f"settle {name}", do, seen)


def _reject(name: str, draw: random.Random) -> Step:
    found = [_rejected(f"{name}-{i}") for i in range(draw.randint(1, 9))]
    return Step(
        f"reject {name}",
        lambda store: store.quarantine.add(found),
        lambda store: _there(store, tables.quarantine, [r.id for r in found]),
    )


def _adapter(name: str, draw: random.Random) -> Step:
    contents = [draw.randbytes(draw.randint(1, 20_000)) for _ in range(draw.randint(1, 3))]

    def do(store: Store) -> None:
        files = {f"{i}.safetensors": store.artifacts.put(content) for i, content in enumerate(contents)}
        store.history.add(adapter(name, files))

    def seen(store: Store) -> list[bool]:
        there = has(lambda: store.history.adapter(f"adp_{name}"))
        if there:
            files = store.history.adapter(f"adp_{name}").files
            assert [store.artifacts.get(files[f"{i}.safetensors"]) for i in range(len(contents))] == contents
        return [there]

    return Step(f"adapter {name}", do, seen)


def _release(name: str, draw: random.Random) -> Step:
    made = adapter(name)
    report = Report(f"rep_{name}", made.id, "mood", "shop", {"accuracy": 0.9}, NOW)
    at = NOW + timedelta(seconds=draw.randint(0, 9999))
    release = Release(f"rel_{name}", "mood", "shop", made.id, at, {"why": name})
    event = Event(f"evt_{name}", "turn", None, None, name, {}, NOW)
    return Step(
        f"release {name}",
        lambda store: store.history.add(made, report, release, event),
        lambda store: [
            has(lambda: store.history.adapter(made.id)),
            report in store.history.reports(made.id),
            release in store.history.releases(),
            event in store.history.events(),
        ],
    )


def _answers(name: str, draw: random.Random) -> Step:
    """What the server's writer does for one request: reply, answers, feedback and usage, all or nothing."""
    answers = [answer(f"{name}-{i}") for i in range(draw.randint(1, 9))]
    given, reply = correction(f"{name}-0"), Reply("digest", 200, "{}" * draw.randint(1, 99))

    def do(store: Store) -> None:
        with store.transaction() as connection:
            if store.replies.add_in(connection, "shop", name, reply, NOW) is None:
                store.answers.add_in(connection, answers)
                store.feedback.add_in(connection, given)
                store.usage.add_in(connection, {("shop", name[-10:]): len(answers)})

    def seen(store: Store) -> list[bool]:
        asked = store.usage.asked("shop", name[-10:])
        assert asked in (0, len(answers)), f"asked {asked} of {len(answers)}"
        there = _there(store, tables.answers, [a.id for a in answers])
        return [*there, given in store.feedback.list(), store.replies.find("shop", name) == reply, asked > 0]

    return Step(f"answers {name}", do, seen)


def _used(name: str, draw: random.Random) -> Step:
    names = [f"{name}-{i}" for i in range(draw.randint(1, 5))]
    used = [f"fb_{n}" for n in names]

    def do(store: Store) -> None:
        with store.transaction() as connection:
            store.answers.add_in(connection, [answer(n) for n in names])
            for n in names:
                store.feedback.add_in(connection, correction(n))
            store.feedback.mark_used_in(connection, used)

    def seen(store: Store) -> list[bool]:
        there = {f.id for f in store.feedback.list(used=True)}
        return [n in there for n in used]

    return Step(f"used {name}", do, seen)


def _key(name: str, draw: random.Random) -> Step:
    key = Key(f"key_{name}", "shop", f"{draw.getrandbits(256):064x}", "hr_live_ab", NOW)

    def do(store: Store) -> None:
        if store.keys.by_digest(key.digest) is None:
            store.keys.add(key)

    return Step(f"key {name}", do, lambda store: [store.keys.by_digest(key.digest) == key])


def _cursor(name: str, draw: random.Random) -> Step:
    value = {"line": draw.randint(0, 99)}
    return Step(
        f"cursor {name}",
        lambda store: store.cursors.set(name, value),
        lambda store: [store.cursors.get(name) == value],
    )


def _turn(name: str, draw: random.Random) -> Step:
    turn = TurnState(f"turn_{name}", {}, NOW)

    def do(store: Store) -> None:
        store.turns.begin(turn)
        store.turns.save(turn.id, {"mood/shop": name}, finished=NOW)

    def seen(store: Store) -> list[bool]:
        return [any(t.id == turn.id and t.finished == NOW for t in store.turns.list(10_000))]

    return Step(f"turn {name}", do, seen)


def _rejected(name: str) -> Rejected:
    return Rejected(f"q_{name}", "shop", "mood", "a", f"a.csv:{name}", "", None, "empty", "no text", NOW)
