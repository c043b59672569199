"""The chain of history: any single change of the past is found; what was forgotten by the rules is none."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Table, create_engine, select, update

from headrace.records import Adapter, Event, Release, Report, Trial
from headrace.store import Store, TurnState, tables
from headrace.store.chain import FORGOTTEN, HISTORY

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WATCHED = {**HISTORY, "entry": tables.chain, "salt": tables.chain_salts}


def past(store: Store, count: int = 3) -> None:
    """A history with every kind of record, `count` of each."""
    for n in range(count):
        at = NOW + timedelta(hours=n)
        made = Adapter(f"adp_{n}", "mood", None, "b", ("no", "yes"), {"f": "0"}, {"n": 0.1 + n}, 9, 1.5, at)
        report = Report(f"rep_{n}", made.id, "mood", "shop", {"accuracy": 0.1 + 0.2}, at)
        release = Release(f"rel_{n}", "mood", "shop", made.id, at, {"why": f"é {n}"})
        event = Event(f"evt_{n}", "turn", None, None, f"done {n}", {"a": None, "b": [n]}, at)
        store.history.add(made, report, release, event)
        store.turns.begin(TurnState(f"turn_{n}", {}, at))
        store.turns.save(f"turn_{n}", {"x": n}, finished=at)
        with store.transaction() as connection:
            trial = Trial(f"trl_{n}", "mood", "shop", made.id, made.id, "shadow", n, "s", at, {})
            store.trials.add_in(connection, trial)
            store.trials.end_in(connection, trial.id, "won", {"n": n}, at)


@pytest.fixture(scope="module")
def written() -> Iterator[Path]:
    """A SQLite file with a history, copied for each change."""
    folder = Path(tempfile.mkdtemp())
    with Store.open("store.db", folder, create=True).closing() as store:
        past(store)
        assert store.history.chain.verify().whole
    yield folder / "store.db"
    shutil.rmtree(folder)


def loose(store: Store) -> Engine:
    """Another way into the file, one that holds to no rules of ours."""
    return create_engine(f"sqlite:///{store.database.engine.url.database}")


def numbers(connection: Connection, table: Table) -> list[Any]:
    """The primary keys of a table, in order."""
    key = next(iter(table.primary_key.columns))
    return list(connection.execute(select(key).order_by(key)).scalars())


def change(connection: Connection, table: Table, draw: st.DataObject) -> str:
    """Change one row, take it out, put a copy in, or let two change places; what was done."""
    key = next(iter(table.primary_key.columns))
    rows = numbers(connection, table)
    one = draw.draw(st.sampled_from(rows))
    ways = ["value", "gone", "swap"] + ([] if table is tables.chain_salts else ["copy"])
    how = draw.draw(st.sampled_from(ways))
    found = dict(connection.execute(select(table).where(key == one)).one()._mapping)
    if how == "gone":
        connection.execute(table.delete().where(key == one))
    elif how == "value":
        column = draw.draw(
            st.sampled_from([c for c in table.columns if c is not key or table in (tables.chain,)])
        )
        connection.execute(
            update(table).where(key == one).values({column: other(column.name, found[column.name])})
        )
    elif how == "copy":
        name = {"id": "copied_1"} if "id" in found else {}
        number = {key.name: max(rows) + 1} if not isinstance(one, str) else {}
        connection.execute(table.insert().values({**found, **number, **name}))
    else:
        two = draw.draw(st.sampled_from([row for row in rows if row != one]))
        rest = dict(connection.execute(select(table).where(key == two)).one()._mapping)
        swap = [c for c in table.columns if c is not key and not c.unique]
        connection.execute(update(table).where(key == one).values({c: rest[c.name] for c in swap}))
        connection.execute(update(table).where(key == two).values({c: found[c.name] for c in swap}))
    return f"{how} of {table.name} {one}"


def other(name: str, value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case None:
            return NOW if name in ("withdrawn", "ended", "finished") else "x"
        case str():
            return f"{value[:-1]}{'a' if value[-1:] != 'a' else 'b'}"
        case datetime():
            return value + timedelta(microseconds=1)
        case dict():
            return {**value, "more": 1}
        case list() | tuple():
            return [*value, "more"]
        case _:
            return value + 1000


@settings(max_examples=50, deadline=None)
@given(draw=st.data())
def test_any_single_change_of_the_past_is_found(written: Path, draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(written, folder)
        with Store.open("store.db", Path(folder)).closing() as store:
            with store.database.read() as connection:
                before = [list(connection.execute(select(t))) for t in WATCHED.values()]
            with loose(store).begin() as connection:
                done = change(connection, WATCHED[draw.draw(st.sampled_from(sorted(WATCHED)))], draw)
            with store.database.read() as connection:
                same = before == [list(connection.execute(select(t))) for t in WATCHED.values()]
            assert store.history.chain.verify().whole == same, done


def test_it_says_which_record_and_what_happened_to_it(sqlite_store: Store) -> None:
    past(sqlite_store)
    chain = sqlite_store.history.chain

    def said(*changes: str) -> tuple[str | None, str]:
        with loose(sqlite_store).begin() as connection:
            for sql in changes:
                connection.exec_driver_sql(sql)
        found = chain.verify()
        return found.flaw, found.record

    with sqlite_store.database.read() as connection:
        place = {(e.kind, e.record): e.seq for e in connection.execute(select(tables.chain))}
    again = "SELECT 'evt_x', kind, message, evidence, at FROM events WHERE id = 'evt_0'"
    put = f"INSERT INTO events (id, kind, message, evidence, at) {again}"
    assert said(put) == ("inserted", "evt_x")
    assert said(f"DELETE FROM chain WHERE seq = {place['event', 'evt_1']}")[0] == "missing"
    first, second = place["report", "rep_1"], place["release", "rel_1"]
    moves = ((first, -1), (second, first), (-1, second))
    moved = [f"UPDATE chain SET seq = {to} WHERE seq = {number}" for number, to in moves]
    assert said(*moved) == ("reordered", "rel_1")
    assert said("DELETE FROM releases WHERE id = 'rel_0'") == ("missing", "rel_0")
    assert said("UPDATE adapters SET size = 8 WHERE id = 'adp_0'") == ("changed", "adp_0")


def test_an_earlier_newest_link_tells_that_the_end_was_cut_off(store: Store) -> None:
    past(store, 2)
    chain = store.history.chain
    head = chain.head()
    assert chain.verify(head).whole
    with store.transaction() as connection:
        last = connection.execute(select(tables.chain).order_by(tables.chain.c.seq.desc()).limit(1)).one()
        connection.execute(tables.chain.delete().where(tables.chain.c.seq == last.seq))
        connection.execute(tables.chain_salts.delete().where(tables.chain_salts.c.entry == last.seq))
        connection.execute(tables.trials.delete().where(tables.trials.c.id == last.record))
    assert chain.verify().whole, "nothing else can tell"
    assert chain.verify(head).flaw == "missing"


def test_what_was_forgotten_verifies_where_a_later_event_of_the_chain_says_so(store: Store) -> None:
    past(store)
    history = store.history
    with store.transaction() as connection:
        gone = history.chain.withdraw_in(connection, "report", ["rep_1"])
        connection.execute(tables.reports.delete().where(tables.reports.c.id == "rep_1"))
    assert (history.chain.verify().flaw, history.chain.verify().record) == ("changed", "rep_1")
    history.add(Event("evt_f", FORGOTTEN, None, None, "m", {"withdrawn": gone}, NOW))
    found = history.chain.verify()
    assert (found.whole, found.forgotten) == (True, 1)
    history.add(Event("evt_g", FORGOTTEN, None, None, "m", {"withdrawn": [99]}, NOW))
    assert history.chain.verify().whole, "an event speaks for what it names alone"


def test_many_writers_make_one_chain(store: Store) -> None:
    past(store, 1)

    def write(worker: int) -> None:
        for n in range(5):
            store.history.add(Event(f"evt_{worker}-{n}", "note", None, None, "m", {}, NOW))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    found = store.history.chain.verify()
    assert (found.whole, found.entries) == (True, 36), found.sentence
    with store.database.read() as connection:
        order = {e.record: e.seq for e in connection.execute(select(tables.chain))}
        written = [e.id for e in connection.execute(select(tables.events).order_by(tables.events.c.seq))]
    assert written == sorted(written, key=order.__getitem__), "records stand in the order of the chain"


def test_a_backup_verifies_in_the_other_database(
    sqlite_store: Store, tmp_path: Path, postgres: Callable[[], str]
) -> None:
    past(sqlite_store)
    sqlite_store.backup(tmp_path / "x.tar", "name: shop\n")
    with Store.open(postgres(), tmp_path / "new", create=True).closing() as new:
        new.restore(tmp_path / "x.tar")
        assert new.history.chain.verify() == sqlite_store.history.chain.verify()
        new.history.add(Event("evt_n", "note", None, None, "m", {}, NOW))
        assert new.history.chain.verify().whole


def test_a_store_of_an_earlier_version_has_its_history_chained_when_it_is_opened(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "fixtures" / "store_0001.sql"
    with closing(sqlite3.connect(tmp_path / "store.db")) as raw:
        raw.executescript(script.read_text(encoding="utf-8"))
    with Store.open("store.db", tmp_path).closing() as store:
        found = store.history.chain.verify()
        assert (found.whole, found.entries) == (True, 4), "an adapter, a report, a release and an event"
        store.history.add(Event("evt_n", "note", None, None, "m", {}, NOW))
        assert store.history.chain.verify().entries == 5
        with loose(store).begin() as connection:
            connection.execute(update(tables.reports).values(figures={"accuracy": 1.0}))
        assert store.history.chain.verify().flaw == "changed"
