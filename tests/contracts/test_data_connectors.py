"""What every connector holds to, whoever wrote it; a new part joins by an entry in SOURCES."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from data_parts import bring, recipe
from pydantic import ValidationError

from headrace import plugins
from headrace.data.connectors import Broken, Position, Raw
from headrace.store import Store


def _file(folder: Path) -> Mapping[str, Any]:
    (folder / "rows.csv").write_text("id,text,label\n1,where is it,order\n2,pay me back,refund\n3,hello,\n")
    return {"path": "rows.csv"}


def _database(folder: Path) -> Mapping[str, Any]:
    with sqlite3.connect(folder / "crm.db") as database:
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, label TEXT)")
        database.executemany(
            "INSERT INTO t VALUES (?, ?, ?)",
            [(1, "where is it", "order"), (2, "pay me back", "refund"), (3, "hello", None)],
        )
    return {"url": "sqlite:///crm.db", "query": "SELECT * FROM t;", "incremental": "id"}


def _rasa(folder: Path) -> Mapping[str, Any]:
    (folder / "nlu.yml").write_text(
        'version: "3.1"\nnlu:\n- intent: order\n  examples: |\n    - where is [it](parcel)\n'
        "- intent: refund\n  examples: |\n    - pay me back\n    - hello\n"
    )
    return {"path": "nlu.yml"}


SOURCES: Mapping[str, Callable[[Path], Mapping[str, Any]]] = {
    "files": _file,
    "sql": _database,
    "rasa": _rasa,
}
EACH = pytest.mark.parametrize("name", SOURCES)


def _read(name: str, folder: Path, position: object | None = None) -> list[Raw | Broken | Position]:
    options = plugins.options("connectors", name).model_validate(SOURCES[name](folder))
    return list(plugins.load("connectors", name)(options, folder).read(position))


def test_every_part_is_under_contract() -> None:
    assert set(plugins.names("connectors")) == set(SOURCES)


@EACH
def test_it_gives_every_row_with_its_place(name: str, tmp_path: Path) -> None:
    raws = [item for item in _read(name, tmp_path) if isinstance(item, Raw)]
    assert [(r.text, r.label) for r in raws] == [
        ("where is it", "order"),
        ("pay me back", "refund"),
        ("hello", None if name != "rasa" else "refund"),  # There every example has its intent.
    ]
    assert len({r.place for r in raws}) == 3


@EACH
def test_reading_again_from_its_last_position_leaves_nothing_out(name: str, tmp_path: Path) -> None:
    first = _read(name, tmp_path)
    positions = [item.value for item in first if isinstance(item, Position)]
    (tmp_path / "crm.db").unlink(missing_ok=True)
    again = _read(name, tmp_path, positions[-1] if positions else None)
    assert [r for r in again if isinstance(r, Raw)][-1] == [r for r in first if isinstance(r, Raw)][-1]


@EACH
def test_its_options_refuse_what_they_do_not_know(name: str, tmp_path: Path) -> None:
    options = plugins.options("connectors", name)
    with pytest.raises(ValidationError, match="pathh"):
        options.model_validate({**SOURCES[name](tmp_path), "pathh": "x"})


@EACH
def test_collecting_twice_adds_nothing(name: str, store: Store, tmp_path: Path) -> None:
    given = SOURCES[name](tmp_path)
    first = bring(store, tmp_path, given, connector=name)
    again = bring(store, tmp_path, given, connector=name, run="r2")
    assert (first.read, first.new) == (3, 3)
    assert (again.new, again.repeated, again.broken) == (0, 0, 0)
    assert sum(store.rows.counts().values()) == 3
    assert recipe(given, connector=name).sources["inbox"].connector == name
