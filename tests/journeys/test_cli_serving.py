"""`headrace serve` as a process of its own: asked over the wire, taught, followed, and ended by Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from small_project import INTENTS, live_questions, make_project

from headrace.project import Project
from headrace.web.assembly import Following

pytestmark = pytest.mark.xdist_group("cli")
PATIENCE = 30.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that serves two channels."""
    made = make_project(tmp_path_factory.mktemp("serving") / "p")
    made.turn()
    yield made
    made.close()


@pytest.fixture
def server(project: Project) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its URL."""
    words = [sys.executable, "-m", "headrace", "serve", "--port", "0", "--project", str(project.folder)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    url = next(found.group() for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
    yield process, url
    process.kill()
    process.communicate()


class Asker:
    """Asks as one channel."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def ask(self, text: str) -> dict[str, Any]:
        """The answer to one question."""
        reply = self._http.post("/v1/predict", json={"task": "intent", "text": text})
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()["answers"][0]
        return found


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something holds within a few seconds."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return False


def test_a_server_answers_and_follows_what_other_processes_do(
    project: Project, server: tuple[subprocess.Popen[str], str]
) -> None:
    process, url = server
    _, secret = project.new_key("desk")
    desk, text = Asker(url, secret), live_questions()[0].text
    first = desk.ask(text)
    wanted = next(label for label in INTENTS if label != first["label"])
    project.add_feedback(first["id"], "correction", wanted)
    assert soon(lambda: desk.ask(text)["label"] == wanted), "feedback of the command line reaches the server"

    project.add_channel("kiosk", ["intent"])
    _, of_kiosk = project.new_key("kiosk")
    assert Asker(url, of_kiosk).ask(text)["adapter"], (
        "a channel added meanwhile is served, on the shared adapter"
    )

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Stopped. Nothing acknowledged is lost." in err
    assert out == ""
    assert secret not in err
    assert text not in err


def test_a_recipe_with_mistakes_changes_nothing_for_a_server(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", ready=False)
    following, path = Following(project), tmp_path / "p" / "headrace.yaml"
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace("channels:", "chanels:"), encoding="utf-8")
    following.look()
    assert following.channel("desk").tasks == ("intent",)
    path.write_text(
        right.replace("desk: {tasks", "front-desk: {tasks").replace("channel: desk", "channel: forum")
    )
    following.look()
    assert following.channel("front-desk").tasks == ("intent",)
    assert following.mask("front-desk", "mail me: joe@example.com") == "mail me: <email>"
    path.unlink()
    following.look()
    assert following.channel("front-desk").tasks == ("intent",)
    project.close()


def test_answers_are_json_lines_that_a_script_can_read(project: Project) -> None:
    words = [sys.executable, "-m", "headrace", "predict", "a key please", "-c", "forum", "--json", "-C"]
    done = subprocess.run([*words, str(project.folder)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0]["channel"] == "forum"
    assert done.stderr == "", "nothing of a library's talk"


def test_a_file_is_answered_as_its_texts_are_and_nothing_is_stored(project: Project, tmp_path: Path) -> None:
    texts = [question.text for question in live_questions("forum")[:30]]
    (one,) = project.predict(texts[:1], task="intent", channel="forum")
    wanted = next(label for label in INTENTS if label != one.label)
    said = project.add_feedback(one.id, "correction", wanted)
    file, out = tmp_path / "asked.txt", tmp_path / "answers.jsonl"
    file.write_text("\n".join(texts), encoding="utf-8")
    before = project.store.answers.counts()
    project.predict_file(file, out, task="intent", channel="forum")
    assert project.store.answers.counts() == before
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert (found[0]["label"], found[0]["because"]) == (wanted, said.id)
    singly = project.predict(texts, task="intent", channel="forum")
    wanted_of = [(a.text, a.label, round(a.confidence, 4), a.release, a.adapter, a.because) for a in singly]
    assert wanted_of == [
        (f["text"], f["label"], round(f["confidence"], 4), f["release"], f["adapter"], f["because"])
        for f in found
    ]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_file_goes_on_where_it_was_ended(project: Project, tmp_path: Path, how: signal.Signals) -> None:
    rows, out = 8_000, tmp_path / "answers.csv"
    file = tmp_path / "asked.txt"
    file.write_text("".join(f"where is number {i} of {i * 7}\n" for i in range(rows)), encoding="utf-8")
    words = [sys.executable, "-m", "headrace", "predict", str(file), "-c", "desk", "--out", str(out)]
    process = subprocess.Popen(
        [*words, "-C", str(project.folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    parts = tmp_path / "answers.csv.parts"
    assert soon(lambda: any(parts.glob("*.part")))
    process.send_signal(how)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130}[how]
    assert how == signal.SIGKILL or f"kept in {parts}; the same line goes on" in " ".join(err.split())
    assert not out.exists()
    done = subprocess.run([*words, "-C", str(project.folder)], capture_output=True, text=True, check=True)
    assert re.search(r"Wrote 8,000 answers to .*; [\d,]+ of the rows by an earlier run\.", done.stdout)
    assert not parts.exists()
    lines = out.read_text(encoding="utf-8").splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == file.read_text(encoding="utf-8").splitlines()


def test_the_shell_completes_names_of_the_recipe(project: Project) -> None:
    line = f"headrace --project {project.folder} predict --channel "
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split())), "_HEADRACE_COMPLETE": "complete_bash"}
    words = [sys.executable, "-m", "headrace"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ | asked)
    assert {"desk", "forum"} <= set(done.stdout.split())
