"""A disk that is full or may only be read, and a database without space: told in plain words, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from cramped_work import VERBS, fill, only_read, run_verb
from small_project import INTENTS
from spoilt_project import State, edited, project, served, state
from zygote import Zygote

from headrace.errors import StoreFull
from headrace.project import Project
from headrace.store import database as databases

__all__ = ["project", "served"]  # fixtures
LORA = "{method: lora, options: {layers: 1, epochs: 1, batch: 16}}"
pytestmark = pytest.mark.xdist_group("bad-input")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made


@pytest.mark.parametrize(
    ("verb", "most"),
    [
        ("collect", 40_000),
        ("predict", 4_000),
        ("train", 2_000),
        ("backup", 100_000),
        ("add a channel", 2_000),
    ],
    ids=lambda value: str(value),
)
def test_a_disk_that_takes_no_more_is_told_and_loses_nothing(
    verb: str, most: int, project: Project, zygote: Zygote
) -> None:
    write_forum(project)
    before = state(project)
    told = zygote.call(fill, str(project.folder), verb, most).value()
    assert told.startswith("StoreFull 4: "), told
    assert "ulimit" in told or "space" in told
    assert_still_there(project, before)
    assert zygote.call(run_verb, str(project.folder), verb).value() == "nothing"


@pytest.mark.parametrize("verb", ["collect", "predict", "train", "add a channel"])
def test_a_store_that_may_only_be_read_is_told_and_loses_nothing(
    verb: str, project: Project, zygote: Zygote
) -> None:
    write_forum(project)
    before = state(project)
    told = zygote.call(only_read, str(project.folder), verb).value()
    for path in [project.folder, *project.folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert told.startswith("StoreError 4: "), told
    assert "right to write" in told
    assert_still_there(project, before)
    assert zygote.call(run_verb, str(project.folder), verb).value() == "nothing"


@pytest.mark.parametrize("verb", ["collect", "predict"])
def test_a_database_without_space_is_told_and_loses_nothing(
    verb: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself says SQLITE_FULL where its file may hold no more pages."""
    write_forum(project)
    before = state(project)
    prepare = databases._prepare_sqlite

    def cramped(connection: Any, milliseconds: int) -> None:
        prepare(connection, milliseconds)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    with monkeypatch.context() as patch:
        patch.setattr(databases, "_prepare_sqlite", cramped)
        with pytest.raises(StoreFull, match=r"no space is left.*Free some space"):
            VERBS[verb](Project(project.folder))
    assert_still_there(project, before)
    VERBS[verb](project)


@pytest.mark.parametrize("seam", ["artifact", "features", "checkpoint", "recipe"])
def test_a_file_without_space_is_told_and_loses_nothing(
    seam: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC where an artifact, a cached feature, a checkpoint or the recipe is written."""
    verb = "add a channel" if seam == "recipe" else "train"
    shutil.rmtree(project.folder / ".cache")
    opened = edited(project, "{method: head}", LORA if seam == "checkpoint" else "{method: head}")
    before = state(project)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = {
        "artifact": "headrace.store.artifacts.write_synced",
        "features": "headrace.models.prefix_torch.np.save",
        "checkpoint": "headrace.models.lowrank_torch.write_synced",
        "recipe": "headrace.recipe.reading.os.fsync",
    }[seam]
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises(StoreFull, match="space"):
            VERBS[verb](opened)
    assert state(project) == before
    assert not list(project.folder.glob(".headrace*"))
    VERBS[verb](Project(project.folder))


def write_forum(project: Project) -> None:
    """New rows for one source, enough to make the database grow."""
    rows = [
        {"text": f"forum {i} {'x' * 200}", "label": INTENTS[i % 4], "split": "train"} for i in range(2000)
    ]
    (project.folder / "data" / "forum.jsonl").write_text("\n".join(map(json.dumps, rows)))


def assert_still_there(project: Project, before: State) -> None:
    """Everything that was there is there; what came in completely before the disk was full may be too."""
    after = state(project)
    assert [table for table, rows in before.items() if not rows <= after[table]] == []
    with sqlite3.connect(project.folder / "store.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
