"""Several server processes of one project: one port, one store, one quota, one memory; and one that dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from small_project import INTENTS, live_questions, make_project

from headrace.project import Project

pytestmark = pytest.mark.xdist_group("cli")
PATIENCE, QUOTA, WORKERS = 30.0, 25, 2


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose `forum` may ask 25 questions a day."""
    made = make_project(tmp_path_factory.mktemp("workers") / "p")
    made.turn()
    made.close()
    recipe = made.folder / "headrace.yaml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(
        text.replace("forum: {tasks", f"forum: {{daily_quota: {QUOTA}, tasks"), encoding="utf-8"
    )
    again = Project(made.folder)
    assert again.recipe.channel("forum").daily_quota == QUOTA
    yield again
    again.close()


@pytest.fixture
def server(project: Project) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process that supervises two workers, and their URL."""
    words = [sys.executable, "-m", "headrace", "serve", "--port", "0", "--workers", str(WORKERS)]
    process = subprocess.Popen(
        [*words, "-C", str(project.folder)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    url = next(found.group() for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
    yield process, url
    process.kill()
    process.communicate()


def children(pid: int) -> list[int]:
    """The live processes that `pid` started."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for found in lists for child in found.read_text(encoding="ascii").split()]


def soon(holds: Callable[[], bool]) -> bool:
    """Whether something holds within a while."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


def ask(url: str, key: str, text: str) -> httpx2.Response:
    """One question on a connection of its own, so that the kernel chooses a worker anew."""
    return httpx2.post(
        f"{url}/v1/predict", headers={"Authorization": f"Bearer {key}"}, json={"text": text}, timeout=30
    )


def test_workers_share_a_port_a_store_a_quota_and_what_they_learned(
    project: Project, server: tuple[subprocess.Popen[str], str]
) -> None:
    process, url = server
    workers = children(process.pid)
    assert len(workers) == WORKERS
    _, desk = project.new_key("desk")
    _, forum = project.new_key("forum")
    text = live_questions()[0].text

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(
            r.status_code for r in pool.map(lambda n: ask(url, forum, f"{text} {n}"), range(80))
        )
    assert statuses == {200: QUOTA, 429: 80 - QUOTA}, "the quota is one, whoever answers"
    stored = project.store.answers.counts()
    assert stored["intent", "forum"] == QUOTA

    first = ask(url, desk, text).json()["answers"][0]
    wanted = next(label for label in INTENTS if label != first["label"])
    said = {"answer": first["id"], "verdict": "correction", "label": wanted}
    headers = {"Authorization": f"Bearer {desk}"}
    assert httpx2.post(f"{url}/v1/feedback", headers=headers, json=said, timeout=30).status_code == 200
    time.sleep(0.5)
    labels = {ask(url, desk, text).json()["answers"][0]["label"] for _ in range(30)}
    assert labels == {wanted}, "the other worker has learned it too"

    os.kill(workers[0], signal.SIGKILL)
    assert soon(lambda: len(set(children(process.pid)) - {workers[0]}) == WORKERS), "a dead one is replaced"
    assert soon(lambda: ask(url, desk, text).status_code == 200)

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Stopped. Nothing acknowledged is lost." in err
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_workers_end_when_the_one_that_started_them_is_killed(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, _ = server
    workers = children(process.pid)
    process.kill()
    process.wait()
    assert soon(lambda: not any(_alive(pid) for pid in workers))


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
