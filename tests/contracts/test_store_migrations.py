"""Migrations: what they make is what tables.py says, and a store of every released schema opens."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

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


@pytest.mark.parametrize("revision", ["0001"])
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
        assert store.feedback.version() == 1


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
