"""Databases: what is read the second time, and what a wrong URL or query says."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_parts import bring

from headrace.data.connectors import Position, Raw
from headrace.data.connectors.sql import Options, Part
from headrace.errors import HeadraceError, InputError, NotFound
from headrace.store import Store

Row = tuple[int | None, str, str | None]
ALL = {"url": "sqlite:///crm.db", "query": "SELECT id, text, label FROM t", "incremental": "id"}


def insert(folder: Path, rows: list[Row]) -> None:
    with sqlite3.connect(folder / "crm.db") as database:
        database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER, text TEXT, label TEXT)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)


def read(folder: Path, position: object | None = None, **options: Any) -> list[Any]:
    return list(Part(Options(**{**ALL, **options}), folder).read(position))


def test_the_second_run_reads_from_the_last_position_on(store: Store, tmp_path: Path) -> None:
    insert(tmp_path, [(i, f"text {i}", "a") for i in range(1, 2501)])
    assert bring(store, tmp_path, ALL, connector="sql").new == 2500
    insert(tmp_path, [(2500, "came late with the same key", "a"), (2501, "new", None)])
    again = bring(store, tmp_path, ALL, connector="sql", run="r2")
    assert (again.read, again.new, again.known) == (3, 2, 1)


def test_a_position_covers_only_what_stands_before_it(tmp_path: Path) -> None:
    insert(tmp_path, [(1, "a", None), (2, "b", None), (2, "c", None), (3, "d", None)])
    seen: list[str] = []
    for item in read(tmp_path):
        if isinstance(item, Raw):
            seen.append(item.text)
        elif isinstance(item, Position):
            rest = [r.text for r in read(tmp_path, item.value) if isinstance(r, Raw)]
            assert set(seen) | set(rest) == {"a", "b", "c", "d"}


def test_rows_without_a_key_are_not_lost(sqlite_store: Store, tmp_path: Path) -> None:
    insert(tmp_path, [(1, "a", None)])
    bring(sqlite_store, tmp_path, ALL, connector="sql")
    insert(tmp_path, [(None, "no key", None)])
    assert bring(sqlite_store, tmp_path, ALL, connector="sql", run="r2").new == 1


def test_another_query_begins_anew(tmp_path: Path) -> None:
    insert(tmp_path, [(1, "a", None), (2, "b", None)])
    position = read(tmp_path)[-1].value
    assert len(read(tmp_path, position, query="SELECT id, text FROM t WHERE id < 2")) == 2


def test_a_query_with_a_syntax_error(tmp_path: Path) -> None:
    insert(tmp_path, [(1, "a", None)])
    with pytest.raises(
        InputError, match=r'database refused: near "SELEC": syntax error.*options.query'
    ) as error:
        read(tmp_path, query="SELEC text FROM t", incremental=None)
    assert error.value.field == "query"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("not a url", r"not a database URL.*Write it like sqlite:///crm.db"),
        ("sqlit:///crm.db", r"sqlit.*Check the part before"),
        ("mysql+pymysql://u:hunter2@h/d", r"driver 'pymysql' is not installed.*pip install pymysql"),
        ("postgresql://u:hunter2@127.0.0.1:1/d", r"u:\*\*\*@127.0.0.1"),
        ("postgresql://u:${NOT_SET_AT_ALL}@h/d", r"variable NOT_SET_AT_ALL is not set"),
    ],
)
def test_a_wrong_url_says_the_cure_and_no_password(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(HeadraceError, match=said) as error:
        read(tmp_path, url=url)
    assert "hunter2" not in str(error.value)


def test_a_misspelt_sqlite_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no database file 'crn.db'"):
        read(tmp_path, url="sqlite:///crn.db")
    assert not (tmp_path / "crn.db").exists()


@pytest.mark.parametrize("option", ["text", "label", "incremental"])
def test_a_missing_column_names_those_there_are(tmp_path: Path, option: str) -> None:
    insert(tmp_path, [(1, "a", None)])
    with pytest.raises(InputError, match=r"id, text, label|no such column"):
        read(tmp_path, **{option: "gone"})


def test_the_environment_gives_what_a_recipe_must_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(tmp_path, [(1, "a", None)])
    monkeypatch.setenv("CRM_FILE", "crm.db")
    assert read(tmp_path, url="sqlite:///${CRM_FILE}")[0].text == "a"


def test_postgres_is_read_by_time_and_streamed(
    postgres: Callable[[], str], sqlite_store: Store, tmp_path: Path
) -> None:
    from sqlalchemy import create_engine, make_url, text

    url = postgres()
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (at timestamptz, body text)"))
        connection.execute(
            text(
                "INSERT INTO t SELECT now() + n * interval '1 s', 'row ' || n FROM generate_series(1, 3000) n"
            )
        )
    options = {"url": url, "query": "SELECT at, body FROM t", "text": "body", "incremental": "at"}
    assert bring(sqlite_store, tmp_path, options, connector="sql").new == 3000
    assert bring(sqlite_store, tmp_path, options, connector="sql", run="r2").read == 1
    engine.dispose()


def test_reading_many_rows_takes_no_more_memory_than_few(tmp_path: Path) -> None:
    peaks = []
    for rows in (2_000, 20_000):
        (tmp_path / "crm.db").unlink(missing_ok=True)
        insert(tmp_path, [(i, f"{i} " + "words " * 30, "a") for i in range(rows)])
        tracemalloc.start()
        assert sum(isinstance(r, Raw) for r in Part(Options(**ALL), tmp_path).read(None)) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
