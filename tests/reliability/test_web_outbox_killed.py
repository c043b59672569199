"""kill -9 of a real server under webhooks: what was acknowledged is answered once, and told under one id."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
from hook_stand import hooked, receiver
from standardwebhooks import Webhook

from headrace.channels.messengers.standard import secret_of
from headrace.project import Project
from headrace.records import utc_now

SECRET = secret_of(b"n" * 32)
NUMBER, KILLS = 24, 3


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    words = [sys.executable, "-m", "headrace", "-C", str(folder), "serve", "--port", "0"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Serving "):
            return process, line.split(" at ")[1].split(";")[0]
    raise AssertionError("the server did not start")


def deliver(url: str, number: int) -> bool:
    """Whether the delivery was acknowledged."""
    said = {"thread": f"t{number % 5}", "text": f"How do I roll back number {number}?"}
    body, at = json.dumps({"type": "message.received", "data": said}), utc_now()
    headers = {
        "webhook-id": f"dlv_{number}",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(f"dlv_{number}", at, body),
        "content-type": "application/json",
    }
    with suppress(httpx2.HTTPError):
        return httpx2.post(f"{url}/v1/hooks/partner", content=body, headers=headers).status_code == 202
    return False


def test_a_server_killed_under_webhooks_answers_each_once(tmp_path: Path) -> None:
    came: list[tuple[bytes, dict[str, str]]] = []
    drawn, folder = random.Random(7), tmp_path / "p"
    with receiver(came) as address:
        hooked(folder, address).project.close()
        process, url = start(folder)
        left, kills = list(range(NUMBER)), KILLS
        while left:
            if kills and drawn.random() < 0.2:
                time.sleep(drawn.random() * 0.3)
                process.kill()
                process.wait()
                process, url = start(folder)
                kills -= 1
            left = left[1:] if deliver(url, left[0]) else left
        project = Project(folder)
        end = time.monotonic() + 30
        while time.monotonic() < end and not _done(project, came):
            time.sleep(0.2)
        process.kill()
        process.wait()
    said = [m for c in project.store.conversations.list() for m in project.store.conversations.messages(c.id)]
    mine = [m.id for m in said if m.author == "customer"]
    answers = Counter(m.reply_to for m in said if m.author == "machine" and m.reply_to)
    assert len(mine) == NUMBER
    assert answers == Counter(mine), "each is answered exactly once"
    assert _done(project, came), "each is told, and nothing else"
    assert not project.deliveries(state="waiting")
    project.close()


def _done(project: Project, came: list[tuple[bytes, dict[str, str]]]) -> bool:
    waits = project.deliveries(state="waiting")
    return not waits and _told(project) == Counter(name for name, _ in _ids(came))


def _ids(came: list[tuple[bytes, dict[str, str]]]) -> set[tuple[str, str]]:
    """Each message that was told, under its id."""
    found: set[tuple[str, str]] = set()
    for body, headers in came:
        event: Any = Webhook(SECRET).verify(body.decode(), headers)
        found.add((headers["webhook-id"], event["data"]["message"]))
    return found


def _told(project: Project) -> Counter[str]:
    greetings = {m[0].id for m in _conversations(project)}
    return Counter(
        m.id
        for said in _conversations(project)
        for m in said
        if m.author == "machine" and m.id not in greetings and (m.decision in (None, "alone"))
    )


def _conversations(project: Project) -> list[Any]:
    known = project.store.conversations
    return [known.messages(c.id) for c in known.list()]
