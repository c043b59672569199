"""Migrations: what they make is what tables.py says, and a store of every released schema opens."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Table, inspect, select

from headrace.errors import StoreError
from headrace.records import Row
from headrace.store import Store, tables
from headrace.store.database import VERSION_TABLE, Database
from headrace.store.migrations.versions import first

FIXTURES = Path(__file__).parent.parent / "fixtures"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def differences(store: Store) -> list[object]:
    """What alembic would change to make the database equal tables.py."""
    with store.database.read() as connection:
        options = {"version_table": VERSION_TABLE, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata))


def test_the_steps_from_nothing_make_exactly_the_tables(store: Store) -> None:
    assert differences(store) == []


def test_every_number_of_a_row_is_given_once(sqlite_store: Store) -> None:
    # A number that was given and taken back is not given again: cursors over rows rely on it.
    with sqlite_store.database.read() as connection:
        made = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")
        numbered = set(made.scalars())
    assert numbered == {name for name, table in tables.metadata.tables.items() if "seq" in table.columns}


def test_the_first_step_does_not_follow_later_changes_of_the_tables() -> None:
    source = Path(first.__file__).read_text(encoding="utf-8")
    assert "headrace" not in source.split('"""', 2)[2]


def older(folder: Path, revision: str) -> Store:
    """A store as an older Headrace left it, opened by this one."""
    script = (FIXTURES / f"store_{revision}.sql").read_text(encoding="utf-8")
    with sqlite3.connect(folder / "store.db") as connection:
        connection.executescript(script)
    connection.close()
    return Store.open("store.db", folder)


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_store_of_an_older_headrace_opens_and_keeps_what_it_holds(tmp_path: Path, revision: str) -> None:
    with older(tmp_path, revision).closing() as store:
        assert differences(store) == []
        assert store.rows.get("row_1") == Row(
            "row_1", "shop", "mood", "a", "fine 1", "good", None, "a.csv:1", NOW, masked={"email": 1}
        )
        assert store.rows.counts() == {
            ("mood", "shop", "clean"): 1,
            ("mood", "shop", "new"): 1,
            ("mood", "shop", "rejected"): 1,
        }
        assert store.rows.masked() == {("mood", "shop", "email"): 1}
        assert [example.id for example in store.examples.of("mood")] == ["row_1"]
        assert [found.reason for found in store.quarantine.list()] == ["empty"]
        assert [release.evidence for release in store.history.serving()] == [{"why": "first"}]
        assert store.history.adapter("adp_1").files == {"head.safetensors": "0" * 64}
        assert store.history.reports("adp_1")[0].figures == {"accuracy": 0.9}
        assert [event.message for event in store.history.events()] == ["done"]
        assert [(f.id, f.answer, f.at) for f in store.feedback.list(used=False)] == [("fb_1", "ans_1", NOW)]
        assert store.replies.find("shop", "k") is not None
        assert store.keys.by_digest("d" * 64) is not None
        assert store.usage.asked("shop", "2026-03-01") == 3
        assert store.cursors.get("a") == {"line": 3}
        assert store.turns.open() is not None
        store.rows.add([store.rows.get("row_1")], run="two")
        assert store.feedback.version() == len(store.feedback.list())


def test_a_store_of_0002_keeps_its_trials_its_salts_its_chain_and_what_was_decided_of_feedback(
    tmp_path: Path,
) -> None:
    with older(tmp_path, "0002").closing() as store:
        assert store.history.chain.verify().whole
        (trial,) = store.trials.list("mood", "shop", open_only=True)
        assert (trial.id, trial.champion, trial.challenger) == ("trl_1", "adp_1", "adp_2")
        (judged,) = store.shadows.judged("trl_1")
        assert (judged.text, judged.sent, judged.shadow.label, judged.right) == (
            "so so",
            "good",
            "bad",
            "bad",
        )
        assert store.salts.get("persons", "another") == "salt_1"
        assert store.answers.get("ans_2").person == "person_a"
        states = {one.id: (one.state, one.reason) for one in store.feedback.list(used=True)}
        assert states.pop("fb_5")[0] == "held"
        assert states == {
            "fb_2": ("accepted", "accepted by the owner"),
            "fb_3": ("agreed", "others say the same"),
            "fb_4": ("counts", None),
        }
        with store.database.read() as connection:
            assert store.feedback.agreed_in(connection) == {"fb_3": ["fb_3", "fb_4"]}


def backup_of(folder: Path, revision: str) -> Path:
    """A backup as a Headrace of that schema wrote it: times without microseconds where they have none."""
    source = sqlite3.connect(":memory:")
    source.executescript((FIXTURES / f"store_{revision}.sql").read_text(encoding="utf-8"))
    members = {"headrace.yaml": b"name: shop\n"}
    for (table,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [(name, kind) for _, name, kind, *_ in source.execute(f"PRAGMA table_info({table})")]
        rows = [
            {name: said(value, kind) for (name, kind), value in zip(columns, row, strict=True)}
            for row in source.execute(f"SELECT * FROM {table}")
        ]
        members[f"tables/{table}.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    source.close()
    with tarfile.open(folder / "older.tar", "w") as tar:
        for name, content in (members | {"schema": revision.encode()}).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return folder / "older.tar"


def said(value: Any, kind: str) -> Any:
    """A value of SQLite's as a backup writes it."""
    if value is None or kind not in ("JSON", "BOOLEAN"):
        return value.replace(".000000+", "+") if kind == "VARCHAR(32)" and value else value
    return json.loads(value) if kind == "JSON" else bool(value)


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_backup_of_an_older_headrace_is_restored_as_its_store_would_be_opened(
    tmp_path: Path, store: Store, revision: str
) -> None:
    store.restore(backup_of(tmp_path, revision))
    (tmp_path / "opened").mkdir()
    with older(tmp_path / "opened", revision).closing() as opened:
        for table in tables.metadata.sorted_tables:
            if not table.name.startswith("chain"):
                assert contents(store, table) == contents(opened, table), table.name
    assert store.history.chain.verify().whole
    assert differences(store) == []


def contents(store: Store, table: Table) -> list[tuple[Any, ...]]:
    with store.database.read() as connection:
        return [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]


def test_an_older_store_moves_to_postgres_by_backup(tmp_path: Path, postgres: Callable[[], str]) -> None:
    with older(tmp_path, "0001").closing() as store:
        store.backup(tmp_path / "x.tar", "name: shop\n")
        with Store.open(postgres(), tmp_path / "new", create=True).closing() as new:
            assert new.restore(tmp_path / "x.tar")["rows"] == 3
            assert new.rows.counts() == store.rows.counts()
            assert new.history.serving() == store.history.serving()


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_step_that_fails_halfway_leaves_nothing_and_is_taken_again(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    where = "new.db" if database == "sqlite" else request.getfixturevalue("postgres")()
    made: list[str] = []
    real = op.create_table

    def create(name: str, *columns: Any, **options: Any) -> Any:
        if len(made) == 9:
            raise RuntimeError
        made.append(name)
        return real(name, *columns, **options)

    monkeypatch.setattr(op, "create_table", create)
    with pytest.raises(RuntimeError):
        Store.open(where, tmp_path, create=True)
    monkeypatch.undo()
    with Database(where if database == "postgres" else f"sqlite:///{tmp_path}/new.db").read() as connection:
        assert inspect(connection).get_table_names() == []
    with Store.open(where, tmp_path).closing() as store:
        assert differences(store) == []


def test_a_step_that_leaves_a_row_without_what_it_names_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op, "create_index", lambda *_: None)
    monkeypatch.setattr(op, "create_table", _with_orphan(op.create_table))
    with pytest.raises(StoreError, match="names one that is not there"):
        Store.open("new.db", tmp_path, create=True)


def _with_orphan(real: Callable[..., Any]) -> Callable[..., Any]:
    """Creates tables, and after the feedback's a row whose answer does not exist."""

    def create(name: str, *columns: Any, **options: Any) -> None:
        real(name, *columns, **options)
        if name == "feedback":
            op.execute(
                "INSERT INTO feedback (id, answer, task, channel, text, verdict, used, at)"
                " VALUES ('f', 'none', 't', 'c', 'x', 'right', 0, '')"
            )

    return create
