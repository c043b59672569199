"""A project's own server in process: what its recipe says holds over HTTP."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from small_project import INTENTS, live_questions, make_project

from headrace.recipe import Recipe
from headrace.web import assembly
from headrace.web.assembly import assembled
from headrace.web.server import background


class Client:
    """One connection with a key."""

    def __init__(self, url: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, path: str, body: object) -> Any:
        self._connection.request("POST", path, json.dumps(body), self._headers)
        got = self._connection.getresponse()
        assert got.status == 200
        return json.loads(got.read())


@pytest.mark.parametrize("enabled", [True, False])
def test_a_correction_counts_at_once_unless_the_recipe_says_no(tmp_path: Path, enabled: bool) -> None:
    """Through the real engine: shown again after a restart, and to its own channel alone."""
    project = make_project(tmp_path / "p")
    project.turn()
    if not enabled:
        recipe = tmp_path / "p" / "headrace.yaml"
        recipe.write_text(recipe.read_text() + "memory: {enabled: false}\n")
        project.recipe = type(project)(tmp_path / "p").recipe
    _, key = project.new_key("desk")
    _, other = project.new_key("forum")
    text = live_questions()[0].text
    with assembled(project) as service, background(service) as url:
        desk, forum = Client(url, key), Client(url, other)
        (first,) = desk.post("/v1/predict", {"text": text})["answers"]
        (before,) = forum.post("/v1/predict", {"text": text})["answers"]
        wanted = next(label for label in INTENTS if label != first["label"])
        said = {"answer": first["id"], "verdict": "correction", "label": wanted}
        feedback = desk.post("/v1/feedback", said)["id"]
        (second,) = desk.post("/v1/predict", {"text": text})["answers"]
        (after,) = forum.post("/v1/predict", {"text": text})["answers"]
    with assembled(project) as service, background(service) as url:
        (third,) = Client(url, key).post("/v1/predict", {"text": text})["answers"]
    expected = (wanted, feedback) if enabled else (first["label"], None)
    assert (second["label"], second["because"]) == (third["label"], third["because"]) == expected
    assert {k: before[k] for k in ("label", "scores", "because")} == {
        k: after[k] for k in ("label", "scores", "because")
    }
    project.close()


def test_no_request_reads_the_recipe_and_a_new_channel_is_served_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "p")
    project.turn()
    readers: list[str] = []
    read = assembly.recipes.read

    def spy(path: Path) -> Recipe:
        readers.append(threading.current_thread().name)
        return read(path)

    monkeypatch.setattr(assembly.recipes, "read", spy)
    with assembled(project) as service, background(service) as url:
        desk = Client(url, project.new_key("desk")[1])
        for number in range(5):
            with (tmp_path / "p" / "headrace.yaml").open("a", encoding="utf-8") as file:
                file.write(f"# edit {number}\n")
            desk.post("/v1/predict", {"text": "a key please"})
        editor = type(project)(tmp_path / "p")
        editor.add_channel("kiosk", ["intent"])
        kiosk = Client(url, editor.new_key("kiosk")[1])
        assert kiosk.post("/v1/predict", {"text": "a key please"})["answers"]
        editor.close()
    assert readers, "somebody did read it"
    assert "headrace-http" not in readers
    project.close()
