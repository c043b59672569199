"""kill -9 at any moment: nothing acknowledged is lost, and whoever comes next goes on."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect
from store_children import child, create, work
from store_script import NOW, SEED, check, opened, run, script

from headrace.store import tables
from headrace.store.artifacts import UNFINISHED


def location(request: pytest.FixtureRequest, database: str) -> str:
    """An empty SQLite file or Postgres database."""
    if database == "sqlite":
        return "store.db"
    make: Callable[[], str] = request.getfixturevalue("postgres")
    return make()


@pytest.mark.parametrize(
    ("database", "kills"),
    [
        ("sqlite", 40),
        ("postgres", 10),
        pytest.param("sqlite", 800, marks=pytest.mark.torture),
        pytest.param("postgres", 200, marks=pytest.mark.torture),
    ],
)
@pytest.mark.xdist_group("store-kills")
def test_a_killed_writer_loses_nothing_that_was_acknowledged(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, kills: int
) -> None:
    where, draw = location(request, database), random.Random(SEED)
    opened(tmp_path, where).close()
    for number in range(kills):
        seed, said = SEED + number, f"(HEADRACE_SEED={SEED}, kill {number})"
        with child(work, tmp_path, where, seed) as writer:
            writer.wait_for("open")
            time.sleep(draw.uniform(0, 0.12))
            names = writer.kill()
        steps = script(seed, len(names) + 1)
        acknowledged = [step for step in steps if step.name in names]
        with opened(tmp_path, where).closing() as store:
            check(store, steps, acknowledged, said)
            if number % 10 == 0:
                run(store, steps, lambda step: None)
                check(store, steps, steps, said)


@pytest.mark.parametrize(
    ("database", "kills"),
    [
        ("sqlite", 8),
        ("postgres", 2),
        pytest.param("sqlite", 200, marks=pytest.mark.torture),
        pytest.param("postgres", 50, marks=pytest.mark.torture),
    ],
)
@pytest.mark.xdist_group("store-kills")
def test_a_store_whose_creation_was_killed_opens(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, kills: int
) -> None:
    draw = random.Random(SEED)
    for number in range(kills):
        folder, where = tmp_path / f"{number}", location(request, database)
        folder.mkdir()
        with child(create, folder, where) as creator:
            creator.wait_for("begin")
            time.sleep(draw.uniform(0, 0.08))
            creator.kill()
        with opened(folder, where).closing() as store:
            steps = script(SEED, 3)
            run(store, steps, lambda step: None)
            check(store, steps, steps, f"kill {number}")
            assert set(tables.metadata.tables) <= set(inspect(store.database.engine).get_table_names())


def test_what_a_killed_process_left_unfinished_is_swept_an_hour_later(tmp_path: Path) -> None:
    with opened(tmp_path).closing() as store:
        digest = store.artifacts.put(b"whole")
    fresh, old = (tmp_path / "artifacts" / UNFINISHED / name for name in ("fresh", "old"))
    fresh.write_bytes(b"half")
    old.write_bytes(b"half")
    hour_ago = time.time() - 3700
    os.utime(old, (hour_ago, hour_ago))
    with opened(tmp_path).closing() as store:
        assert (fresh.exists(), old.exists()) == (True, False)
        assert list(store.artifacts) == [digest]
        assert store.artifacts.sweep(NOW.timestamp() * 2) == 1
        assert not fresh.exists()
