"""A backup taken while others write equals one committed state."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from store_children import start, write_pairs
from store_script import SEED, check, opened, run, script, whole

from headrace.errors import InputError, StoreError
from headrace.store import Store


@pytest.mark.parametrize("copies", [3, pytest.param(100, marks=pytest.mark.torture)])
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_copy_taken_under_write_load_has_both_of_every_pair_or_none(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, copies: int
) -> None:
    where = "store.db"
    if database == "postgres":
        make: Callable[[], str] = request.getfixturevalue("postgres")
        where = make()
    with opened(tmp_path, where).closing() as store:
        writers = [start(write_pairs, tmp_path, where, worker) for worker in range(3)]
        acknowledged: list[str] = []
        for number in range(copies):
            for writer in writers:
                writer.heard.append(writer.pipe.recv())
                while writer.pipe.poll():
                    writer.heard.append(writer.pipe.recv())
            acknowledged = [f"ans_{name}" for writer in writers for name in writer.heard]
            store.backup(tmp_path / f"{number}.tar", "name: shop\n")
            _pairs(tmp_path / f"{number}", tmp_path / f"{number}.tar", acknowledged)
        for writer in writers:
            writer.kill()
    assert len(acknowledged) >= 3 * copies


def _pairs(folder: Path, backup: Path, acknowledged: list[str]) -> None:
    with opened(folder).closing() as copy:
        copy.restore(backup)
        whole(copy)
        with copy.database.read() as connection:
            answers = connection.exec_driver_sql("SELECT id FROM answers").scalars().all()
        assert set(acknowledged) <= set(answers), "acknowledged before the copy began"
        assert {f.answer for f in copy.feedback.list()} == set(answers)
        adapters = copy.history.adapters()
        assert {a.id.removeprefix("adp_") for a in adapters} == {a.removeprefix("ans_") for a in answers}
        for adapter in adapters:
            for digest in adapter.files.values():
                assert copy.artifacts.get(digest)


@pytest.fixture
def backup(sqlite_store: Store, tmp_path: Path) -> Path:
    """A backup of a small store."""
    run(sqlite_store, script(SEED, 12), lambda step: None)
    sqlite_store.backup(tmp_path / "whole.tar", "name: shop\n")
    return tmp_path / "whole.tar"


def test_a_backup_cut_short_is_refused_and_leaves_the_store_empty(tmp_path: Path, backup: Path) -> None:
    content = backup.read_bytes()
    with tarfile.open(backup) as tar:
        borders = [member.offset for member in tar]
    inside = [border + 700 for border in borders]
    with opened(tmp_path / "new").closing() as new:
        for cut in [100, *borders, *inside[:-1]]:
            backup.write_bytes(content[:cut])
            with pytest.raises(InputError, match="backup"):
                new.restore(backup)
        assert new.rows.counts() == {}
        backup.write_bytes(content)
        new.restore(backup)
        check(new, script(SEED, 12), script(SEED, 12))


def _changed(backup: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    members = {}
    with tarfile.open(backup) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            members[member.name] = file.read()
    found = next(n for n in members if n.startswith(name))
    members[found] = change(members[found])
    with tarfile.open(backup, "w") as tar:
        for member_name, content in members.items():
            entry = tarfile.TarInfo(member_name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "change", "kind", "said"),
    [
        ("artifacts/", lambda b: b[:-1] + b"\x00\x01", InputError, "artifact .* is damaged"),
        ("tables/rows", lambda b: b[:-9] + b"\n", InputError, "line .* of the table rows is damaged"),
        ("tables/rows", lambda b: b'{"seq": 1}\n' + b, InputError, "line 1 of the table rows"),
        ("tables/rows", lambda b: b"[1]\n" + b, InputError, "line 1 of the table rows"),
        ("schema", lambda b: b"9999", StoreError, "newer Headrace .*schema 9999.*upgrade"),
    ],
)
def test_a_changed_backup_is_refused_in_plain_words(
    tmp_path: Path,
    backup: Path,
    name: str,
    change: Callable[[bytes], bytes],
    kind: type[Exception],
    said: str,
) -> None:
    _changed(backup, name, change)
    with opened(tmp_path / "new").closing() as new, pytest.raises(kind, match=said):
        new.restore(backup)
