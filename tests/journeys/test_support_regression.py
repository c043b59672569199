"""What is expected is tried before it goes live: a challenger at the gate, documents on a copy of the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from small_project import make_project
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.data import expectations
from headrace.data.expectations import FILE, Expectation
from headrace.errors import InputError, NotFound
from headrace.flywheel.judging.bench import Judged
from headrace.flywheel.judging.deciding import decide_served
from headrace.flywheel.judging.expected import Expecting
from headrace.project import Project
from headrace.records import Adapter
from headrace.release.gate import decide
from headrace.release.sentences import explain

RECIPE = """\
name: helped
tasks:
  intent: {labels: [a, b]}
channels:
  shop: {tasks: [intent], language: en}
knowledge:
  faq: {format: faq, options: {path: faq.csv}}
"""
FAQ = """\
question,answer
How long does shipping to Norway take?,Five days.
How do I return a gift?,Send it back.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "p"
    Project.init(place, recipe=RECIPE).close()
    (place / "faq.csv").write_text(FAQ, encoding="utf-8")
    run(place, "knowledge", "sync")
    return place


def run(folder: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["--project", str(folder), *words])


def test_a_changed_document_is_tried_before_it_goes_live(folder: Path) -> None:
    question = "shipping to Norway"
    title = "How long does shipping to Norway take?"
    assert run(folder, "expect", "add", question, "--channel", "shop", "--document", title).exit_code == 0
    assert run(folder, "expect", "check").exit_code == 0
    changed = FAQ.replace(title, "What about Sweden?").replace("Five days.", "Never.")
    (folder / "faq.csv").write_text(changed + "Shipping to Norway?,Not any more.\n", encoding="utf-8")
    shown = run(folder, "expect", "check", "--sync", "--json")
    assert shown.exit_code == 2
    (difference,) = json.loads(shown.stdout)["differences"]
    assert (difference["before"]["found"], difference["before"]["met"]) == (title, True)
    assert (difference["after"]["text"], difference["broken"]) == ("Not any more.", True)
    assert run(folder, "expect", "check").exit_code == 0, "nothing went live"
    run(folder, "knowledge", "sync")
    assert run(folder, "expect", "check").exit_code == 2


def test_expectations_are_a_file_of_the_project(folder: Path) -> None:
    run(folder, "expect", "add", "你好，吗", "--channel", "shop", "--intent", "a")
    run(folder, "expect", "add", "你好，吗", "--channel", "shop", "--intent", "b")
    assert (folder / FILE).read_text("utf-8") == "channel,question,intent,document\nshop,你好，吗,b,\n"
    assert run(folder, "expect", "add", "x", "--channel", "shop").exit_code == 2
    assert run(folder, "expect", "remove", "你好，吗", "--channel", "shop").exit_code == 0
    assert expectations.expectations(folder) == []
    with pytest.raises(NotFound):
        expectations.remove(folder, "shop", "x")


@pytest.mark.parametrize("text", ["question,intent\nx,a\n", "channel,question,intent,document\nshop,x,a,d\n"])
def test_a_mistake_in_the_file_is_named_with_its_line(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="Each line names"):
        expectations.expectations(folder)


class Pretending(Expecting):
    """Says of each adapter what it was told."""

    def __init__(self, project: Project, met: dict[str, list[bool]]) -> None:
        super().__init__(project.store, project.recipe, cast(Any, None), project.folder)
        self._told = met

    def met(self, asked: Sequence[Expectation], adapter: Adapter, channel: str) -> list[bool]:
        return self._told[adapter.id]


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [
        ([True, True], [True, False], False),
        ([False, True], [False, True], True),
        ([False, True], [True, True], True),
    ],
)
def test_the_gate_refuses_with_the_questions_that_broke(
    folder: Path, before: list[bool], after: list[bool], passed: bool
) -> None:
    for question in ("one?", "two?"):
        expectations.add(folder, Expectation("shop", question, "a"))
    project = Project(folder)
    old, new = (cast(Adapter, SimpleNamespace(id=name, task="intent")) for name in ("old", "new"))
    champion = cast(Judged, SimpleNamespace(adapter=old))
    checks = Pretending(project, {"old": before, "new": after}).checks({"shop": champion}, new)
    assert [check.passed for check in checks["shop"]] == [passed]
    if not passed:
        assert checks["shop"][0].figures["questions"] == ["two?"]
    project.close()


def test_a_turn_asks_both_adapters_and_the_refusal_names_the_question(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.collect()
    project.clean()
    project.turn()
    question = "how do i get new key"
    expectations.add(project.folder, Expectation("desk", question, "create_key"))
    release = next(r for r in project.store.history.serving() if r.channel == "desk")
    adapter = project.store.history.adapter(release.adapter)
    flywheel = project.flywheel
    assert flywheel._expecting.met(expectations.expectations(project.folder), adapter, "desk") == [True]
    judged = flywheel._judged(adapter, ["desk"])
    check = Pretending(project, {adapter.id: [True], "new": [False]}).checks(
        judged, cast(Adapter, SimpleNamespace(id="new", task="intent"))
    )
    told = decide_served(project.recipe, judged, judged, check)["desk"].evidence["checks"]
    assert "expected" in str(told)
    sides = (judged["desk"].outcomes, judged["desk"].outcomes)
    decision = decide(*sides, margin_points=40, grew=True, checks=check["desk"])
    assert not decision.released
    assert question in decision.reason
    assert question in explain(decision.evidence, "zh")
    assert decide(*sides, margin_points=40, grew=True).released
    project.close()
