"""The store against a model of dictionaries: any order of verbs, faults, reopenings and backups between them."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from headrace.errors import NotFound, StoreBusy
from headrace.records import Adapter, Answer, Event, Example, Feedback, Key, Rejected, Release, Row
from headrace.store import Reply, Store, TurnState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.sampled_from([f"n{i}" for i in range(8)])
MANY = st.lists(NAMES, min_size=1, max_size=6)
CHANNELS = st.sampled_from(["shop", "forum"])


class Fault(Exception):
    """A caller's error in the middle of a transaction."""


class Machine(RuleBasedStateMachine):
    """`store` is what is tested, `model` what it should hold; `walked` counts the walks that ended."""

    walked = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.count = 0
        self.store = Store.open("store.db", self.folder, create=True)
        self.rows: dict[str, tuple[Row, str, str]] = {}
        self.masked = 0
        self.repeats: set[str] = set()
        self.examples: dict[str, Example] = {}
        self.rejected: dict[str, Rejected] = {}
        self.adapters: dict[str, Adapter] = {}
        self.releases: dict[str, Release] = {}
        self.events: dict[str, Event] = {}
        self.answers: dict[str, Answer] = {}
        self.feedback: dict[str, Feedback] = {}
        self.replies: dict[tuple[str, str], Reply] = {}
        self.keys: dict[str, Key] = {}
        self.usage: dict[tuple[str, str], int] = {}
        self.cursors: dict[str, int] = {}
        self.turns: dict[str, TurnState] = {}
        self.artifacts: dict[str, bytes] = {}

    def teardown(self) -> None:
        type(self).walked += 1
        self.store.close()
        shutil.rmtree(self.folder)

    @initialize()
    def an_answer_and_an_adapter(self) -> None:
        self.answer(["n0"], "shop")
        self.make("n0", "n0")

    @rule(names=MANY, run=st.sampled_from(["one", "two", "three"]), email=st.booleans())
    def collect(self, names: list[str], run: str, email: bool) -> None:
        made = [self._row(name, email) for name in names]
        new = {row.id for row in made} - set(self.rows)
        added = self.store.rows.add(made, run=run)
        for row in made:
            if row.id not in self.rows:
                self.rows[row.id] = (row, "new", run)
                self.masked += row.masked.get("email", 0)
            kept, state, _ = self.rows[row.id]
            self.rows[row.id] = (kept, state, run)
        assert added.new == len(new)
        assert added.repeated == 0, "the same place twice is the same row"

    @rule(name=NAMES, run=st.sampled_from(["one", "two"]))
    def collect_twice_in_one_run(self, name: str, run: str) -> None:
        self.collect([name], run, False)
        row = self._row(name, False)
        again = Row(**{**_fields(row), "place": f"b.csv:{name}"})
        assert self.store.rows.add([again], run=run).repeated == 1
        self.repeats.add(name)

    @rule(names=MANY, label=st.sampled_from(["good", "bad"]))
    def settle(self, names: list[str], label: str) -> None:
        known = {f"row_{name}" for name in names} & set(self.rows)
        made = [self._example(self.rows[i][0], label) for i in sorted(known)]
        self.store.examples.settle([(e, e.id) for e in made], (), dict.fromkeys(known, "clean"))
        for example in made:
            self.examples.setdefault(example.id, example)
            row, _, run = self.rows[example.id]
            self.rows[example.id] = (row, "clean", run)

    @rule(name=NAMES)
    def reject_and_take_back(self, name: str) -> None:
        found = Rejected(f"q_{name}", "shop", "mood", "a", name, "", None, "empty", "", NOW)
        self.store.quarantine.add([found])
        if found.id in self.rejected:
            with self.store.transaction() as connection:
                self.store.quarantine.mark_restored_in(connection, found.id, NOW)
            found = Rejected(**{**_fields(found), "restored": NOW})
        self.rejected[found.id] = found

    @rule(names=MANY, label=st.sampled_from(["good", "bad"]))
    def relabel_or_remove(self, names: list[str], label: str) -> None:
        gone, kept = [f"row_{n}" for n in names[:2]], [f"row_{n}" for n in names[2:]]
        with self.store.transaction() as connection:
            self.store.examples.remove_in(connection, gone)
            for example_id in kept:
                self.store.examples.relabel_in(connection, example_id, label, "feedback")
        for example_id in gone:
            self.examples.pop(example_id, None)
        for example_id in set(kept) & set(self.examples):
            old = _fields(self.examples[example_id])
            self.examples[example_id] = Example(**{**old, "label": label, "origin": "feedback"})

    @rule(name=NAMES, content=NAMES)
    def make(self, name: str, content: str) -> None:
        digest = self.store.artifacts.put(content.encode())
        self.artifacts[digest] = content.encode()
        made = Adapter(f"adp_{name}", "mood", None, "b", ("bad",), {"f": digest}, {}, 1, 1.5, NOW)
        self.store.history.add(made)
        self.adapters.setdefault(made.id, made)

    @rule(name=NAMES, channel=CHANNELS)
    def release(self, name: str, channel: str) -> None:
        at = NOW + timedelta(hours=len(self.releases))
        made = Release(f"rel_{name}", "mood", channel, "adp_n0", at, {"n": name})
        said = Event(f"evt_{name}", "turn", "mood", channel, name, {}, at)
        self.store.history.add(made, said)
        self.releases.setdefault(made.id, made)
        self.events.setdefault(said.id, said)

    @rule(names=MANY, channel=CHANNELS)
    def answer(self, names: list[str], channel: str) -> None:
        made = [Answer(f"ans_{n}", channel, "mood", n, "good", 0.5, "r", "a", NOW) for n in names]
        self.store.answers.add(made)
        for one in made:
            self.answers.setdefault(one.id, one)

    @rule(name=NAMES, of=NAMES)
    def hear(self, name: str, of: str) -> None:
        found = self.answers.get(f"ans_{of}")
        if found is None:
            return
        said = Feedback(f"fb_{name}", found.id, found.channel, "mood", of, "correction", "bad", NOW)
        self.store.feedback.add(said)
        self.feedback.setdefault(said.id, said)

    @rule(names=MANY)
    def use(self, names: list[str]) -> None:
        ids = [f"fb_{name}" for name in names]
        with self.store.transaction() as connection:
            self.store.feedback.mark_used_in(connection, ids)
        for one in set(ids) & set(self.feedback):
            self.feedback[one] = Feedback(**{**_fields(self.feedback[one]), "used": True})

    @rule(channel=CHANNELS, key=NAMES, then=st.sampled_from(["keep", "release", "nothing"]))
    def claim(self, channel: str, key: str, then: str) -> None:
        first = self.store.replies.claim(channel, key, "digest", NOW)
        assert first == self.replies.get((channel, key))
        self.replies.setdefault((channel, key), Reply("digest", None, None))
        if first is None and then == "keep":
            self.store.replies.keep(channel, key, 500, "{}")
            self.replies[channel, key] = Reply("digest", 500, "{}")
        if then == "release":
            self.store.replies.release(channel, key)
            if self.replies[channel, key].status is None:
                del self.replies[channel, key]

    @rule(name=NAMES)
    def give_and_revoke_a_key(self, name: str) -> None:
        made = Key(f"key_{name}", "shop", f"{name:0>64}", "hr", NOW)
        if made.id in self.keys:
            self.keys[made.id] = self.store.keys.revoke(made.id, NOW + timedelta(days=len(self.usage)))
        else:
            self.store.keys.add(made)
            self.keys[made.id] = made

    @rule(channel=CHANNELS, day=st.sampled_from(["2026-03-01", "2026-03-02"]), n=st.integers(1, 9))
    def ask(self, channel: str, day: str, n: int) -> None:
        self.store.usage.add({(channel, day): n})
        self.usage[channel, day] = self.usage.get((channel, day), 0) + n

    @rule(name=NAMES, line=st.integers(0, 9))
    def read_on(self, name: str, line: int) -> None:
        self.store.cursors.set(name, line)
        self.cursors[name] = line

    @rule(name=NAMES)
    def turn(self, name: str) -> None:
        turn = TurnState(f"turn_{name}", {}, NOW + timedelta(seconds=int(name[1:])))
        self.store.turns.begin(turn)
        if turn.id in self.turns:
            self.store.turns.save(turn.id, {"done": name}, finished=NOW)
            turn = TurnState(turn.id, {"done": name}, turn.started, NOW)
        self.turns[turn.id] = turn

    @rule(name=NAMES)
    def a_caller_fails_in_a_transaction(self, name: str) -> None:
        with pytest.raises(Fault):
            self._fail(name)

    @rule()
    def another_writes(self) -> None:
        with (
            self.store.transaction(),
            Store.open("store.db", self.folder, busy_seconds=0.01).closing() as other,
        ):
            with pytest.raises(StoreBusy):
                other.usage.add({("shop", "2026-03-01"): 99})
            assert other.rows.counts() == self.store.rows.counts()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open("store.db", self.folder)

    @rule()
    def move_by_backup(self) -> None:
        self.count += 1
        backup, target = self.folder / f"{self.count}.tar", self.folder / f"{self.count}"
        self.store.backup(backup, "name: shop\n")
        other = Store.open("store.db", target, create=True)
        other.restore(backup)
        self.store.close()
        self.store, old = other, self.folder
        self.folder = Path(tempfile.mkdtemp())
        self.store.close()
        shutil.copytree(target, self.folder, dirs_exist_ok=True)
        shutil.rmtree(old)
        self.store = Store.open("store.db", self.folder)

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        states = [state for _, state, _ in self.rows.values()]
        counts = {("mood", "shop", state): states.count(state) for state in set(states)}
        assert self.store.rows.counts() == counts
        waiting = [row for batch in self.store.rows.pending(3) for row in batch]
        assert waiting == [row for row, state, _ in self.rows.values() if state == "new"]
        assert self.store.rows.masked().get(("mood", "shop", "email"), 0) == self.masked
        by_id = sorted(self.examples.values(), key=lambda e: e.id)
        assert self.store.examples.of("mood") == by_id
        assert (
            sorted((e for b in self.store.examples.stream("mood", 3) for e in b), key=lambda e: e.id) == by_id
        )
        held = {r.id: r for r in self.store.quarantine.list(reason="empty")}
        assert held == {i: r for i, r in self.rejected.items() if r.restored is None}
        repeats = {f"b.csv:{name}" for name in self.repeats}
        assert {r.place for r in self.store.quarantine.list(reason="duplicate")} == repeats

    @invariant()
    def history_is_that_of_the_model(self) -> None:
        assert {a.id: a for a in self.store.history.adapters()} == self.adapters
        assert self.store.history.releases() == list(self.releases.values())[::-1]
        assert self.store.history.events() == list(self.events.values())[::-1]
        newest = {release.channel: release for release in self.releases.values()}
        assert {r.channel: r for r in self.store.history.serving()} == newest
        assert sorted(self.store.artifacts) == sorted(self.artifacts)
        assert all(self.store.artifacts.get(digest) == held for digest, held in self.artifacts.items())

    @invariant()
    def what_was_said_is_that_of_the_model(self) -> None:
        for number in range(8):
            found = self.answers.get(f"ans_n{number}")
            assert _or_none(lambda n=number: self.store.answers.get(f"ans_n{n}")) == found  # type: ignore[misc]
            assert self.store.cursors.get(f"n{number}") == self.cursors.get(f"n{number}")
        assert self.store.feedback.list() == list(self.feedback.values())
        for channel in ("shop", "forum"):
            for number in range(8):
                kept = self.replies.get((channel, f"n{number}"))
                assert self.store.replies.find(channel, f"n{number}") == kept
        assert {k.id: k for k in self.store.keys.list()} == self.keys
        asked = {pair: self.store.usage.asked(*pair) for pair in self.usage}
        assert asked == self.usage
        assert {t.id: t for t in self.store.turns.list()} == self.turns

    def _fail(self, name: str) -> None:
        with self.store.transaction() as connection:
            self.store.rows.add_in(connection, [self._row(f"lost {name}", True)], run="lost")
            self.store.usage.add_in(connection, {("shop", "2026-03-01"): 99})
            self.store.examples.remove_in(connection, list(self.examples))
            raise Fault

    def _row(self, name: str, email: bool) -> Row:
        row = Row(f"row_{name}", "shop", "mood", "a", name, "good", None, f"a.csv:{name}", NOW)
        return Row(**{**_fields(row), "masked": {"email": 1} if email else {}})

    def _example(self, row: Row, label: str) -> Example:
        return Example(row.id, row.channel, row.task, row.text, label, "train", "source", NOW)


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _or_none(find: Any) -> Any:
    try:
        return find()
    except NotFound:
        return None


@pytest.mark.parametrize(
    ("walks", "steps"), [(4, 50), pytest.param(100, 100, marks=pytest.mark.torture)], ids=["200", "10000"]
)
def test_any_walk_over_the_verbs_leaves_what_the_model_holds(walks: int, steps: int) -> None:
    chosen = settings(
        max_examples=walks,
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    before = Machine.walked
    run_state_machine_as_test(Machine, settings=chosen)
    assert Machine.walked >= before + walks
