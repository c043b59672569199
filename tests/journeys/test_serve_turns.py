"""`headrace serve --turn-every` as a user runs it: it turns beside the server, says so, and ends with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from small_project import live_questions, make_project

from headrace.cli import app, listening
from headrace.errors import InputError
from headrace.project import Project
from headrace.store.planned import NOTE

pytestmark = pytest.mark.xdist_group("cli")


def soon(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with clean rows that has never turned."""
    made = make_project(tmp_path / "p")
    yield made
    made.close()


def test_it_turns_once_beside_two_workers_and_ends_with_them(project: Project) -> None:
    words = [sys.executable, "-m", "headrace", "-C", str(project.folder), "serve", "--port", "0"]
    words += ["--turn-every", "1h", "--workers", "2"]
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    assert process.stderr is not None
    said = [next(line for line in process.stderr if re.search(r"http://[\d.:]+", line))]
    reader = threading.Thread(target=said.extend, args=(process.stderr,))
    reader.start()
    try:
        assert soon(lambda: any(turn.finished for turn in project.store.turns.list()))
        assert soon(lambda: bool((note := project.turns().planned) and note.next))
        turns = project.turns()
        assert turns.planned is not None
        assert (turns.planned.every, turns.planned.failures) == (3600, 0)
        assert turns.last is not None
        assert turns.sentence == (
            f"Turns: last {turns.last.finished:%Y-%m-%d %H:%M} UTC: {turns.last.sentence}"
            f" Next {turns.planned.next:%Y-%m-%d %H:%M} UTC."
        )
        assert project.predict([live_questions()[0].text], task="intent", channel="desk")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        reader.join()
    assert process.returncode == 0
    assert "A turn every 1h: see headrace status." in "".join(said)
    lines = [json.loads(line) for line in said if line.startswith('{"') and '"event": "turn"' in line]
    assert [line["said"] for line in lines] == [turns.last.sentence]
    assert 3000 < lines[0]["again_in"] <= 3600
    assert len(project.store.turns.list()) == 1, "one runner in all"
    assert not (project.folder / NOTE).exists()
    assert "None is planned" in project.turns().sentence


def test_with_one_process_the_turns_begin_when_it_listens_and_end_before_it_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Told:
        def start(self) -> None:
            told.append("turns begin")

    @contextmanager
    def turning(_: Project, every: timedelta, __: object) -> Iterator[Told]:
        told.append(f"turns every {every}")
        yield Told()
        told.append("turns end")

    def served(*_: object, ready: Callable[[str], None], **__: object) -> None:
        ready("http://127.0.0.1:1")

    monkeypatch.setattr(listening, "turning", turning)
    monkeypatch.setattr(listening, "serve_service", served)
    listening.serve(project, None, 0, 1, told.append, timedelta(hours=1))
    assert [line.partition(":")[0] for line in told] == [
        "turns every 1",
        "Serving 2 channels at http",
        "A turn every 1h",
        "turns begin",
        "turns end",
        "Stopped. Nothing acknowledged is lost.",
    ]


@pytest.mark.parametrize("text", ["1", "0h", "59", "h", "-1h", "1w", "1.5h", "400d", ""])
def test_a_time_that_is_none_is_refused_with_the_cure(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="Write 30m, 1h or 1d"):
        app(["-C", str(tmp_path), "serve", f"--turn-every={text}"], standalone_mode=False)


def test_status_tells_of_turns_in_words_json_and_a_page(
    project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["-C", str(project.folder), "status"]
    app(words, standalone_mode=False)
    assert "Turns: none has ended yet. None is planned" in capsys.readouterr().out
    report = project.turn().report
    assert report is not None
    page = tmp_path / "turn.html"
    app([*words, "--html", str(page)], standalone_mode=False)
    told = capsys.readouterr().out
    assert report.sentence in told
    assert "intent/desk: Released" in told
    assert "What was decided" in page.read_text(encoding="utf-8")
    app([*words, "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["turns"]["last"] == json.loads(json.dumps(report.to_json()))
    assert {pair["channel"] for pair in found["pairs"]} == {"desk", "forum"}
