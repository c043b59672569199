"""A running server follows a label's new name: answers, corrections that it remembers, and those that come."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from small_project import live_questions, make_project

from headrace.project import Project
from headrace.web.assembly import assembled
from headrace.web.server import background

pytestmark = pytest.mark.xdist_group("flywheel")


def post(url: str, key: str, path: str, body: dict[str, object]) -> tuple[int, Any]:
    head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    asked = urllib.request.Request(url + path, json.dumps(body).encode(), head)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_running_server_follows_a_new_name(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    project.turn()
    key = project.new_key("desk")[1]
    question = live_questions()[0].text
    with assembled(project) as service, background(service) as url:

        def asked() -> dict[str, Any]:
            found = post(url, key, "/v1/predict", {"task": "intent", "texts": [question]})[1]
            answer: dict[str, Any] = found["answers"][0]
            return answer

        def corrected(answer: str, label: str) -> int:
            said = {"answer": answer, "verdict": "correction", "label": label}
            return post(url, key, "/v1/feedback", said)[0]

        first = asked()
        wrong = next(label for label in project.labels("intent") if label != first["label"])
        assert corrected(first["id"], wrong) < 300
        assert asked()["label"] == wrong
        other = Project(project.folder)
        other.rename_label("intent", wrong, "renamed")
        other.close()
        until = time.monotonic() + 20
        while (found := asked())["label"] != "renamed" and time.monotonic() < until:
            time.sleep(0.1)
        assert found["label"] == "renamed"
        assert corrected(found["id"], wrong) == 422
        assert corrected(found["id"], "renamed") < 300
    project.close()
