"""A project whose adapters were trained elsewhere, where torch, transformers and onnx are not installed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from spoilt_project import project, served, state

import headrace
from headrace.errors import MissingExtra
from headrace.project import Project
from headrace.release.promote import promote

__all__ = ["project", "served"]  # fixtures
pytestmark = pytest.mark.xdist_group("bad-input")
CHILD = """
import json, sys, urllib.request
from datetime import UTC, datetime, timedelta

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
from headrace.cli import pages
from headrace.errors import MissingExtra
from headrace.project import Project
from headrace.web.assembly import assembled
from headrace.web.server import background
from headrace.web.turns import turning

told = {}

def refused(act):
    try:
        act()
    except MissingExtra as error:
        return [error.exit_code, str(error)]

def post(url, key, path, body):
    head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    asked = urllib.request.Request(url + path, json.dumps(body).encode(), head)
    return json.load(urllib.request.urlopen(asked, timeout=30))

project = Project(sys.argv[1])
(answer,) = project.predict(["how to undo it"], task="intent", channel="desk")
wanted = next(label for label in project.labels("intent") if label != answer.label)
given = project.add_feedback(answer.id, "correction", wanted)
(again,) = project.predict(["how to undo it"], task="intent", channel="desk")
told["corrected"] = [again.label == wanted, again.because == given.id]
secret = project.new_key("desk")[1]
with assembled(project) as service, background(service) as url:
    told["served"] = post(url, secret, "/v1/predict", {"text": "how to undo it"})["answers"][0]["label"] == wanted
told["rolled back"] = project.rollback("intent", "desk").kind
told["history"] = [line.kind for line in project.history(channel="desk")]
told["status"] = {pair.channel: bool(pair.serves) for pair in project.status()}
judged = project.evaluate(project.store.history.serving()[0].adapter)
told["judged"] = sum(one.judgement.n for one in judged.values())
told["page"] = "<html" in pages.evaluation(judged, datetime.now(UTC))
told["train"] = refused(lambda: project.train("intent", "forum", seed=99))
told["turn"] = refused(project.turn)
told["turns"] = refused(turning(project, timedelta(hours=1), None).__enter__)
told["heavy"] = sorted({"torch", "transformers", "onnx"} & set(sys.modules))
project.close()
print(json.dumps(told))
"""


def test_everything_but_training_works_and_training_names_its_extra(project: Project, tmp_path: Path) -> None:
    own = project.store.history.adapters("intent", "desk")[0]
    promote(project.store, "intent", ["desk"], own.id, {})
    project.close()
    before, home = state(project), tmp_path / "home"
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(headrace.__file__).parents[1])}
    env = {name: value for name, value in env.items() if not name.startswith(("XDG_", "ORT_"))}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(project.folder)],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    needs = [MissingExtra.exit_code, 'Training needs headrace[train]. Run: pip install "headrace[train]"']
    assert (told.pop("train"), told.pop("turn")) == (needs, needs)
    assert told.pop("turns") == [needs[0], str(needs[1]).replace("Training", "serve --turn-every")]
    assert told.pop("judged") > 0
    assert told == {
        "corrected": [True, True],
        "served": True,
        "rolled back": "rollback",
        "history": told["history"],
        "status": {"desk": True, "forum": True},
        "page": True,
        "heavy": [],
    }
    assert told["history"][-1] == "rollback"
    assert list(home.rglob("*")) == [], "nothing is kept in the user's home, by onnxruntime's telemetry least"
    after = state(project)
    assert [name for name, rows in before.items() if name != "feedback" and not rows <= after[name]] == []


def _without_torch(name: str) -> ModuleType:
    if name.startswith("headrace.tuning"):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    return import_module(name)


def test_the_turn_that_lacked_torch_goes_on_where_it_is(project: Project) -> None:
    given = project.feedback(used=False)
    assert given, "there is something to learn"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib, "import_module", _without_torch)
        with pytest.raises(MissingExtra, match=r"headrace\[train\]"):
            project.turn()
    turn = Project(project.folder).turn()
    assert project.feedback(used=False) == []
    assert project.store.turns.open() is None
    assert len(turn.pairs) == 2
