"""A full disk, a store that may only be read, a damaged one, a held one: plain words, and nothing lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from store_children import as_nobody, child, fill, hold_a_write
from store_script import SEED, adapter, answer, check, opened, row, run, script, whole

from headrace.errors import ArtifactError, HeadraceError, InputError, NotFound, StoreBusy, StoreError
from headrace.store import Store, artifacts


@pytest.mark.parametrize("what", ["answers", "artifacts"])
def test_a_disk_that_takes_no_more_says_so_and_keeps_what_it_acknowledged(tmp_path: Path, what: str) -> None:
    with child(fill, tmp_path, 600_000, what) as writer:
        *acknowledged, (kind, message) = writer.end()
    assert kind == "StoreFull"
    assert "disk took no more bytes" in message
    assert "free space" in message
    assert acknowledged
    with opened(tmp_path).closing() as store:
        whole(store)
        for name in acknowledged:
            assert store.artifacts.get(name) if what == "artifacts" else store.answers.get(name)
        assert not list((tmp_path / "artifacts").glob(f"{artifacts.UNFINISHED}/*"))
        store.answers.add([answer("after")])
        store.artifacts.put(b"after" * 200_000)


def test_a_store_opened_for_reading_alone_reads_and_says_why_it_does_not_write(tmp_path: Path) -> None:
    steps = script(SEED, 6)
    with opened(tmp_path).closing() as writer:
        run(writer, steps, lambda step: None)
        url = f"sqlite:///file:{tmp_path}/store.db?mode=ro&uri=true"
        with Store.open(url, tmp_path).closing() as reader:
            check(reader, steps, steps)
            with pytest.raises(StoreError, match=r"may only be read\. Give yourself the right"):
                reader.answers.add([answer("new")])


@pytest.fixture
def for_all() -> Iterator[Path]:
    """A folder that every user of the machine reaches."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_user_without_the_right_to_write_is_told_so(for_all: Path) -> None:
    with opened(for_all).closing() as store:
        store.answers.add([answer("old")])
        store.artifacts.put(b"old")
    for path in [*for_all.rglob("*"), for_all]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with child(as_nobody, for_all) as reader:
        said = reader.end()
    for_all.chmod(0o755)
    assert [(verb, kind) for verb, kind, _ in said] == [
        (verb, "StoreError") for verb in ("open", "write", "artifact", "lock")
    ]
    assert all("cannot be opened" in message or "only be read" in message for _, _, message in said)
    with opened(for_all).closing() as store:
        assert store.answers.get("ans_old")


def test_an_artifact_folder_that_may_only_be_read_is_told_so(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, _content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(artifacts, "write_synced", refuse)
    with pytest.raises(StoreError, match=r"may only be read\. Give yourself the right"):
        sqlite_store.artifacts.put(b"new")


def _no_database(path: Path) -> None:
    path.write_bytes(b"This is a letter and not a store. " * 99)


def _cut(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _overwritten(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(path) - 4096))


@pytest.mark.parametrize("damage", [_no_database, _cut, _emptied, _overwritten])
def test_a_damaged_store_names_the_cure(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with opened(tmp_path).closing() as store:
        store.history.add(adapter("1", {"head.safetensors": store.artifacts.put(b"weights")}))
        store.answers.add([answer(f"{n}") for n in range(200)])
    damage(tmp_path / "store.db")
    with pytest.raises(StoreError, match="headrace restore"), opened(tmp_path).closing() as store:
        store.answers.counts()


def test_a_store_of_a_newer_headrace_is_left_alone(sqlite_store: Store, tmp_path: Path) -> None:
    with sqlite_store.transaction() as connection:
        connection.exec_driver_sql("UPDATE headrace_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"newer Headrace .*schema 9999.*pip install --upgrade headrace"):
        opened(tmp_path)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_store_held_beyond_the_timeout_is_busy(
    tmp_path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    where = "store.db"
    if database == "postgres":
        make: Callable[[], str] = request.getfixturevalue("postgres")
        where = make()
    opened(tmp_path, where).close()
    with child(hold_a_write, tmp_path, where) as holder:
        holder.wait_for("held")
        with opened(tmp_path, where, busy_seconds=0.05).closing() as store:
            with pytest.raises(StoreBusy, match="another process is writing"):
                store.rows.add([row("mine")], run="mine")
            holder.kill()
            with opened(tmp_path, where).closing() as patient:
                assert patient.rows.add([row("mine")], run="mine").new == 1
            assert store.rows.counts() == {("mood", "shop", "new"): 1}


def test_a_damaged_artifact_is_noticed_and_mended_by_the_same_content(sqlite_store: Store) -> None:
    digest = sqlite_store.artifacts.put(b"weights")
    for damaged in (b"weight", b"Weights"):
        sqlite_store.artifacts.path(digest).write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"damaged.*headrace restore"):
            sqlite_store.artifacts.get(digest)
        assert sqlite_store.artifacts.put(b"weights") == digest
        assert sqlite_store.artifacts.get(digest) == b"weights"


@pytest.mark.parametrize(
    ("location", "kind", "said"),
    [
        ("absent.db", NotFound, "headrace init"),
        ("sqlite:///:memory:", InputError, "would not last"),
        ("sqlite://", InputError, "would not last"),
        ("mysql://a/b", InputError, "SQLite or Postgres"),
        ("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2", StoreError, "does not answer"),
    ],
)
def test_a_location_that_cannot_be_used_is_said_in_plain_words(
    tmp_path: Path, location: str, kind: type[HeadraceError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        Store.open(location, tmp_path)


def test_a_postgres_database_that_is_not_there_is_said_in_plain_words(
    tmp_path: Path, postgres: Callable[[], str]
) -> None:
    absent = make_url(postgres()).set(database="absent").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match="no such database"):
        Store.open(absent, tmp_path)
