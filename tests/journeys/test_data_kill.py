"""kill -9 while rows come in: nothing stored is lost, and the next run adds exactly what is missing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from data_parts import bring, examples, feed, now, recipe, say, settle

from headrace.data.corrections import absorb_feedback
from headrace.store import Store

ROWS = 4000
WORK = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from data_parts import bring, recipe, settle
from headrace.store import Database, Store

write, left = Database.write, [int(sys.argv[5])]

@contextmanager
def deadly(self):
    with write(self) as connection:
        yield connection
        left[0] -= 1
        if left[0] == 0:  # all is written, nothing committed
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
store = Store.open("store.db", folder)
Database.write = deadly
if sys.argv[3] == "collect":
    bring(store, folder, {"path": "x.csv"}, run=sys.argv[4])
else:
    settle(store, recipe())
"""


def _killed(folder: Path, verb: str, run: str, transaction: int) -> bool:
    """Run a verb in a child that dies by SIGKILL within its n-th transaction; whether it came so far."""
    tests = str(Path(__file__).parents[1])
    child = subprocess.run(
        [sys.executable, "-c", WORK, str(folder), tests, verb, run, str(transaction)], timeout=60
    )
    return child.returncode == -signal.SIGKILL


def _file(folder: Path) -> None:
    lines = [f"question {i} about order {i * 7919 % 100_003},label {i % 7}" for i in range(ROWS)]
    lines[100] = '"never closed,a'
    lines[3500] = lines[2500]
    (folder / "x.csv").write_text("text,label\n" + "\n".join(lines))


def test_killed_collect_and_clean_continue(tmp_path: Path) -> None:
    _file(tmp_path)
    Store.open("store.db", tmp_path, create=True).close()
    kills = [("collect", 1), ("collect", 3), ("clean", 1), ("clean", 2)]
    died = [_killed(tmp_path, verb, f"k{i}", n) for i, (verb, n) in enumerate(kills)]
    assert all(died)
    store = Store.open("store.db", tmp_path)
    bring(store, tmp_path, {"path": "x.csv"}, run="last")
    settle(store, recipe())
    whole = _undisturbed(tmp_path / "whole")
    assert sum(store.rows.counts().values()) == sum(whole.rows.counts().values()) == ROWS - 2
    assert [(e.id, e.split, e.label) for e in examples(store)] == [
        (e.id, e.split, e.label) for e in examples(whole)
    ]
    assert store.quarantine.counts() == whole.quarantine.counts()
    store.close()
    whole.close()


def _undisturbed(folder: Path) -> Store:
    folder.mkdir()
    _file(folder)
    store = Store.open("store.db", folder, create=True)
    bring(store, folder, {"path": "x.csv"})
    settle(store, recipe())
    return store


def test_a_failure_in_the_midst_of_feedback_leaves_all_of_it_unused(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe()
    feed(sqlite_store, made, [("known", "a")])
    settle(sqlite_store, made)
    before = examples(sqlite_store)
    say(sqlite_store, 1, "known", "b")
    say(sqlite_store, 2, "new", "b")

    def fail(*_: object) -> None:
        raise OSError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_store.feedback, "mark_used_in", fail)
        with pytest.raises(OSError, match="cut"):
            absorb_feedback(sqlite_store, made, clock=now)
    assert examples(sqlite_store) == before
    assert len(sqlite_store.feedback.list(used=False)) == 2
    assert absorb_feedback(sqlite_store, made, clock=now).read == 2
    assert {e.text: e.label for e in examples(sqlite_store)} == {"known": "b", "new": "b"}
