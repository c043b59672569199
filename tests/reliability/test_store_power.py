"""A power cut, simulated: what was acknowledged is there, and nothing is there by halves.

Rows and artifacts in one log, cut anywhere, unsynced writes kept, torn or dropped at random. The controls
show that the test can fail: without FULL, or without a sync of files or folders, things are lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from store_disk import Disk
from store_script import SEED, check, opened, run, script

from headrace.errors import HeadraceError
from headrace.store import artifacts

LENGTH = 16
CUTS_EACH = 50
# So small that the log is written back to the database again and again.
CHECKPOINTS = ("wal_autocheckpoint=8",)


def losses(folder: Path, cuts: int, pragmas: Sequence[str]) -> list[str]:
    """Cut `cuts` times, each script of the store CUTS_EACH times; says what went wrong, with its seed."""
    found = []
    for seed in range(SEED, SEED + max(1, cuts // CUTS_EACH)):
        steps = script(seed, LENGTH)
        disk = Disk(folder / f"{seed}")
        disk.folder.mkdir()
        with disk.mounted((*CHECKPOINTS, *pragmas)), opened(disk.folder).closing() as store:
            run(store, steps, lambda step: disk.acknowledge(step))  # noqa: B023
        for number in range(min(cuts, CUTS_EACH)):
            draw = random.Random(f"{seed} {number}")
            cut, after = draw.randint(0, len(disk.log)), folder / f"{seed}-{number}"
            disk.after(cut, draw, after)
            said = f"(HEADRACE_SEED={seed}, cut {number} at {cut} of {len(disk.log)})"
            try:
                with opened(after).closing() as store:
                    check(store, steps, disk.acknowledged(cut), said)
                    if number % 10 == 0:
                        run(store, steps, lambda step: None)
                        check(store, steps, steps, said)
            except (AssertionError, HeadraceError) as error:
                found.append(f"{error} {said}")
    return found


@pytest.mark.parametrize("cuts", [300, pytest.param(10_000, marks=pytest.mark.torture)])
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, cuts: int) -> None:
    assert losses(tmp_path, cuts, ()) == []


def test_with_synchronous_normal_the_same_cuts_lose_acknowledged_rows(tmp_path: Path) -> None:
    found = losses(tmp_path, CUTS_EACH, ["synchronous=NORMAL"])
    assert any("lost after it was acknowledged" in said for said in found)


def no_sync(_path: Path) -> None:
    """A disk that forgets names."""


def no_content_sync(path: Path, content: bytes) -> None:
    """A writer that forgets to sync."""
    handle = artifacts.os.open(path, artifacts.os.O_WRONLY | artifacts.os.O_CREAT)
    while content:
        content = content[artifacts.os.write(handle, content) :]
    artifacts.os.close(handle)


@pytest.mark.parametrize(
    ("name", "broken", "said"),
    [("sync_folder", no_sync, "missing"), ("write_synced", no_content_sync, "damaged")],
)
def test_without_a_sync_the_same_cuts_lose_artifacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, broken: Callable[..., None], said: str
) -> None:
    monkeypatch.setattr(artifacts, name, broken)
    assert any(said in loss for loss in losses(tmp_path, CUTS_EACH, ()))


def test_a_file_whose_writer_died_before_its_name_was_durable_is_synced_by_the_next(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    disk.folder.mkdir()
    with disk.mounted(), opened(disk.folder).closing() as store:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(artifacts, "sync_folder", no_sync)
            store.artifacts.put(b"weights")
        digest = store.artifacts.put(b"weights")
    for number in range(20):
        disk.after(len(disk.log), random.Random(number), tmp_path / f"{number}")
        with opened(tmp_path / f"{number}").closing() as after:
            assert after.artifacts.get(digest) == b"weights"
