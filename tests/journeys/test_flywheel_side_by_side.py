"""Channels' own adapters trained side by side: the same bytes, and nothing half-kept whatever happens."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_project import make_project
from tiny_base import make_tiny_base

from headrace.flywheel.training import side_by_side
from headrace.flywheel.training.apprentice import serve
from headrace.flywheel.training.side_by_side import Asked, Made, SideBySide, worth_it
from headrace.models.adapter import HEAD_FILE
from headrace.project import Project
from headrace.recipe import TaskRecipe, TrainRecipe
from headrace.records import Adapter
from headrace.store import manifest
from headrace.tuning.lesson import Lesson, Trained
from headrace.tuning.train import learn

pytestmark = pytest.mark.xdist_group("flywheel")
DIES = (sys.executable, "-c", "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 9)")
SLEEPS = (sys.executable, "-c", "import time; time.sleep(600)")


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Side by side however few the channels and cores."""
    monkeypatch.setattr(side_by_side, "ENOUGH_CHANNELS", 1)
    monkeypatch.setattr(side_by_side, "ENOUGH_ROWS", 1)
    monkeypatch.setattr(side_by_side, "cores", lambda: 2)
    return monkeypatch


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What one process makes, one after another."""
    project = make_project(tmp_path_factory.mktemp("alone") / "p")
    project.turn()
    return files_of(project)


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    project = make_project(tmp_path / "p")
    rows = project.store.examples.of("intent", ["desk"], ["train"])
    task = TaskRecipe(base=str(make_tiny_base(tmp_path / "tiny-base")), longest=48)
    settings = TrainRecipe(method="head")
    weights = (1.0,) * len(rows)
    return Lesson(tuple(rows), (), weights, task, settings, 3, tmp_path / "cache", tmp_path / "cache" / "c")


def own(project: Project) -> list[Adapter]:
    return [a for a in project.store.history.adapters() if a.channel is not None]


def files_of(project: Project) -> dict[str, dict[str, str]]:
    """What serves of each channel's only adapter, the shared one under its own name.

    The manifest of its rows is left out, in which every project has a salt of its own.
    """
    found = project.store.history.adapters()
    assert len({adapter.channel for adapter in found}) == len(found)
    return {
        adapter.channel or "shared": {n: d for n, d in adapter.files.items() if n != manifest.FILE}
        for adapter in found
    }


def events(project: Project) -> list[str]:
    return [event.message for event in project.store.history.events("intent") if event.kind == "training"]


def test_the_adapters_are_those_of_one_after_another_bit_for_bit(
    tmp_path: Path, alone: dict[str, dict[str, str]], forced: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, str]] = []
    keep, seen = SideBySide.learn, []

    def spy(self: SideBySide, lessons: Iterator[Asked]) -> Iterator[tuple[Asked, Made | None]]:
        for asked, made in keep(self, lessons):
            trained.append((asked.channel, "" if made is None or made.reach is None else made.trained.method))
            yield asked, made

    forced.setattr(SideBySide, "learn", spy)
    project = make_project(tmp_path / "p")
    project.progress = lambda stage, done, total: seen.append((stage, done, total))
    project.turn()
    assert trained == [("desk", "head"), ("forum", "head")], "both by the processes"
    assert files_of(project) == alone
    assert [s[1:] for s in seen if s[0] == "training channels side by side"] == [(1, 2), (2, 2)]
    assert events(project) == []


def test_a_killed_process_costs_time_alone_and_is_said(
    tmp_path: Path, alone: dict[str, dict[str, str]], forced: pytest.MonkeyPatch
) -> None:
    forced.setattr(side_by_side, "COMMAND", DIES)
    project = make_project(tmp_path / "p")
    project.turn()
    assert files_of(project) == alone
    said = "a training process ended early (status -9); what it left is trained one after another."
    assert events(project) == [said]


def test_ctrl_c_ends_every_process_at_once(lesson: Lesson, forced: pytest.MonkeyPatch) -> None:
    forced.setattr(side_by_side, "COMMAND", SLEEPS)
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    hands, asked = SideBySide(), [Asked(name, name, 1, lesson) for name in "abcdefgh"]

    def wait() -> None:
        with hands:
            interrupt.start()
            list(hands.learn(asked))

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert [process.returncode for process in hands._started] == [-9, -9]


def test_a_turn_cut_off_between_two_channels_is_continued(
    tmp_path: Path, alone: dict[str, dict[str, str]], forced: pytest.MonkeyPatch
) -> None:
    cuts = ["training channels side by side"]

    def cut(stage: str, done: int, total: int) -> None:
        if stage in cuts:
            cuts.remove(stage)
            raise KeyboardInterrupt

    project = make_project(tmp_path / "p")
    project.progress = cut
    with pytest.raises(KeyboardInterrupt):
        project.turn()
    assert [adapter.channel for adapter in own(project)] == ["desk"]
    forced.undo()
    project.turn()
    assert files_of(project) == alone


def test_what_a_process_cannot_train_it_says_and_goes_on(lesson: Lesson) -> None:
    wrong = Lesson(**{**vars(lesson), "training": ()})
    lines = [Asked("desk", "key", 1, one).to_json() for one in (wrong, lesson)]
    heard = io.StringIO()
    serve(io.StringIO("\n".join(lines)), heard)
    failed, made = (json.loads(line) for line in heard.getvalue().splitlines())
    assert "no example to train on" in failed["failed"]
    found, wanted = Trained.from_json(made["trained"]), learn(lesson)
    assert found.files[HEAD_FILE] == wanted.files[HEAD_FILE]
    assert (found.labels, found.lineage, found.method) == (wanted.labels, wanted.lineage, wanted.method)


def test_a_lesson_survives_the_way_to_another_process(lesson: Lesson) -> None:
    started = Lesson(**{**vars(lesson), "start": {"head.safetensors": bytes(range(256))}})
    assert Lesson.from_json(json.loads(json.dumps(started.to_json()))) == started


def test_few_rows_or_one_core_start_no_process(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cores", lambda: 2)
    few = [Asked(str(n), str(n), n, lesson) for n in range(10)]
    assert worth_it(iter(few)) == []
    times = -(-side_by_side.ENOUGH_ROWS // len(lesson.training) // 5)
    many = Lesson(**{**vars(lesson), "training": lesson.training * times})
    enough = worth_it(iter([Asked(str(n), str(n), n, many) for n in range(10)]))
    assert 0 < len(enough) <= 6
    monkeypatch.setattr(side_by_side, "cores", lambda: 1)
    assert worth_it(iter(enough)) == []
