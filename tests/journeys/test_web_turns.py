"""Turns by themselves: again and again, one at a time, past failures, stopped with the server; or refused."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from stub_apprise import StubApprise

from headrace.errors import InputError, MissingExtra, StoreBusy
from headrace.project import Project
from headrace.recipe import parse
from headrace.store import planned
from headrace.store.lock import only_one
from headrace.web.logs import logger
from headrace.web.schedule import Schedule
from headrace.web.turning import turned
from headrace.web.turns import Runner, TurnProcess, turning

RECIPE = "name: shop\ntasks: {intent: {}}\nchannels: {desk: {tasks: [intent]}}\n"
SAYS = "import sys, os; print('{\"said\": \"' + str(os.nice(0)) + '\"}')"


def soon(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project.init(tmp_path / "p", recipe=RECIPE)
    yield made
    made.close()


class Turns:
    """A turn that is pretended: it notes who is under way, and fails, ends or waits as it is told."""

    def __init__(self, *ends: str) -> None:
        self.ends, self.begun, self.under_way, self.most = list(ends), 0, 0, 0

    def __call__(self, stop: threading.Event) -> Mapping[str, Any]:
        self.begun += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        end = self.ends.pop(0) if self.ends else "said"
        try:
            if end == "raised":
                raise RuntimeError("of the turn")
            if end == "long":
                stop.wait(10)
                return {"stopped": stop.is_set()}
            return {end: "so"}
        finally:
            self.under_way -= 1


def runner(folder: Path, turns: Any, log: io.StringIO, every: float = 0.05) -> Runner:
    return Runner(folder, Schedule(every, time.monotonic()), turns, logger(log))


def test_turns_come_again_and_again_past_failures_and_each_is_a_line_of_the_log(tmp_path: Path) -> None:
    turns, log = Turns("said", "failed", "raised", "busy"), io.StringIO()
    running = runner(tmp_path, turns, log)
    running.start()
    assert soon(lambda: turns.begun >= 6)
    running.stop()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["turn"] * len(lines)
    assert len(lines) == turns.begun
    assert [line["level"] for line in lines[:4]] == ["info", "error", "error", "info"]
    assert lines[2]["failed"] == "RuntimeError"
    assert turns.most == 1, "never two at once"
    count = turns.begun
    time.sleep(0.12)
    assert turns.begun == count, "none after the end"


def test_a_turn_under_way_is_asked_to_stop_and_the_plan_is_seen_by_others(tmp_path: Path) -> None:
    turns, log = Turns("said", "long"), io.StringIO()
    with planned.planning(tmp_path):
        running = runner(tmp_path, turns, log, every=0.2)
        running.start()
        assert soon(lambda: turns.under_way == 1 and turns.begun == 2)
        note = planned.read(tmp_path)
        assert note is not None
        assert (note.every, note.next, note.failures) == (0.2, None, 0)
        assert note.began is not None
        with pytest.raises(StoreBusy, match="another server"), planned.planning(tmp_path):
            pass
        running.stop()
    assert json.loads(log.getvalue().splitlines()[-1])["stopped"] is True
    assert planned.read(tmp_path) is None


def test_a_turn_is_a_process_that_says_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("headrace.web.turns.tell", lambda _, found: told.extend(one.line for one in found))
    recipe, never = parse(RECIPE), threading.Event()

    def run(code: str, stop: threading.Event = never) -> Mapping[str, Any]:
        return TurnProcess(recipe, tmp_path, (sys.executable, "-S", "-c", code))(stop)

    assert run(SAYS) == {"said": str(os.nice(0))}
    assert told == []
    assert run("import os; os._exit(9)") == {"failed": "its process ended with status 9."}
    assert told == ["A turn failed: its process ended with status 9."]
    told.clear()
    assert turned(tmp_path / "nowhere")[0]["untold"] is True
    line = '{"failed": "no recipe", "untold": true}'
    assert run(f"print({line!r})") == {"failed": "no recipe"}
    assert told == ["A turn failed: no recipe"]
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    assert run("import time; time.sleep(60)", stop) == {"stopped": True}
    assert time.monotonic() - began < 10
    assert len(told) == 1, "to be stopped is no failure"


def test_a_store_that_is_busy_in_the_middle_is_a_failure_and_another_turn_is_none(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with only_one(project.store.database, project.folder, "turn"):
        told, code = turned(project.folder)
    assert ("another turn is running" in told["busy"], code) == (True, 4)

    def busy(*_: object, **__: object) -> None:
        raise StoreBusy("another process is writing to the store.")

    monkeypatch.setattr("headrace.flywheel.turn.clean", busy)
    told, code = turned(project.folder)
    assert told == {"failed": "another process is writing to the store.", "untold": False}
    assert code == 4


def test_it_is_refused_at_the_start_without_training_or_with_alerts_that_cannot_be_sent(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    every, log = timedelta(hours=1), logger(io.StringIO())
    found = importlib.util.find_spec
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
        with pytest.raises(MissingExtra, match=r'headrace\[train\]. Run: pip install "headrace\[train\]"'):
            project_turning(project, every, log)
    monkeypatch.setitem(sys.modules, "apprise", StubApprise())
    wanted = project.recipe.alerts.model_copy(update={"to": ("nosuch://user:secret@host",)})
    project.recipe = project.recipe.model_copy(update={"alerts": wanted})
    with pytest.raises(InputError, match=r"address 1 \(nosuch\)") as refused:
        project_turning(project, every, log)
    assert "secret" not in str(refused.value)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "apprise", None)
        with pytest.raises(MissingExtra, match=r"headrace\[alerts\]"):
            project_turning(project, every, log)


def project_turning(project: Project, every: timedelta, log: Any) -> None:
    with turning(project, every, log):
        pass
