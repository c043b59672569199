"""Labels change in seconds: a new one from ten examples, another name, two that become one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_project import live_questions, make_project

from headrace.errors import Conflict, InputError, NotFound
from headrace.flywheel.labels.changes import Labels
from headrace.models.adapter import HEAD_FILE, Head
from headrace.project import Project
from headrace.records import Adapter
from headrace.release.gate import Decision

pytestmark = pytest.mark.xdist_group("flywheel")
TEN = [f"where is zebra number {i} please" for i in range(10)]
QUESTIONS = [
    "how do i get a new key",
    "undo it pls",
    "is it too slow",
    "csv file pls",
    "help folder of files",
]


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that serves."""
    made = make_project(tmp_path_factory.mktemp("labels") / "p")
    made.turn()
    made.close()
    return made.folder


@pytest.fixture
def project(turned: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(turned, tmp_path / "p")
    made = Project(tmp_path / "p")
    yield made
    made.close()


def said(project: Project, texts: list[str], channel: str = "desk") -> list[tuple[str, float]]:
    found = project.predict(texts, task="intent", channel=channel)
    return [(answer.label, answer.confidence) for answer in found]


def serving(project: Project) -> Adapter:
    return project.store.history.adapter(project.store.history.serving()[0].adapter)


def weights(project: Project, adapter: Adapter) -> Head:
    return Head.from_bytes(project.store.artifacts.get(adapter.files[HEAD_FILE]))


def listed(project: Project, labels: str) -> None:
    """Let the recipe list its labels, with a comment."""
    path = project.folder / "headrace.yaml"
    text = path.read_text().replace("longest: 48}", f"longest: 48, labels: {labels}}}  # ours")
    path.write_text(text)
    project.__dict__.pop("recipe", None)


def test_a_new_label_is_served_from_ten_examples(project: Project) -> None:
    before, first = said(project, QUESTIONS), serving(project)
    found = project.add_label("intent", "zoo", TEN, channel="desk")
    assert [(pair.channel, pair.released) for pair in found.pairs] == [("desk", True), ("forum", True)]
    assert found.examples == 10
    assert [label for label, _ in said(project, QUESTIONS)] == [label for label, _ in before]
    for channel in ("desk", "forum"):
        assert said(project, ["where is the zebra please"], channel)[0][0] == "zoo"
    second = serving(project)
    assert (second.parent, second.lineage["method"]) == (first.id, "label")
    old, new = weights(project, first), weights(project, second)
    assert np.array_equal(old.dense, new.dense[:, :4])
    assert old.bias.tolist() == new.bias.tolist()[:4]
    assert {e.origin for e in project.store.examples.of("intent") if e.label == "zoo"} == {"owner"}
    event = project.store.history.of_kind("labels", "intent")[0]
    assert event.evidence == {"change": "added", "label": "zoo", "replaced": []}
    with pytest.raises(Conflict, match="has the label 'zoo' already"):
        project.add_label("intent", "zoo", TEN, channel="desk")
    assert {pair.released for pair in project.turn().pairs} <= {True, False}
    assert said(project, ["where is the zebra please"])[0][0] == "zoo", "the next turn has learned it too"
    notes = project.train("intent").lineage["notes"]
    assert isinstance(notes, list)
    assert any(note.startswith("zoo: of its 10 rows") for note in notes), "fitted alone while it has few rows"


def test_what_cannot_be_released_says_how_many_carry_the_label_and_what_to_do_next(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    no = Decision(False, "Refused: too few held-out rows to tell.", {"verdict": "worse"})
    monkeypatch.setattr("headrace.flywheel.labels.successors.decide", lambda *_, **__: no)
    found = project.add_label("intent", "zoo", [*TEN, TEN[0].upper(), "x" * 9000], channel="desk")
    assert {pair.released for pair in found.pairs} == {False}
    assert (found.examples, found.given, found.taken) == (10, 12, 10)
    assert found.told.startswith("zoo: 10 examples (10 of the 12 texts given) and 0 corrections carry")
    assert "headrace quarantine list" in found.told
    assert "Next: give more examples in the same way, or run: headrace turn" in found.cure
    assert replace(found, pairs=()).cure == ""


def test_a_row_that_has_another_label_gets_the_owners(project: Project) -> None:
    known = next(e for e in project.store.examples.of("intent", ["desk"], ["train"]))
    project.add_label("intent", "zoo", [*TEN, known.text], channel="desk")
    assert project.store.examples.get([known.id])[0].label == "zoo"
    assert project.quarantine() == []


def test_rows_that_waited_for_the_label_are_taken_back(project: Project) -> None:
    listed(project, "[create_key, collect_files, rollback, slow_answers]")
    rows = [{"text": text, "label": "zoo", "split": "train"} for text in TEN]
    project.add_rows(rows, channel="desk", task="intent")
    project.clean()
    assert {entry.reason for entry in project.quarantine()} == {"unknown label"}
    found = project.add_label("intent", "zoo")
    assert (found.examples, {pair.released for pair in found.pairs}) == (10, {True})
    assert project.quarantine() == []
    assert project.labels("intent")[-1] == "zoo"
    assert "# ours" in (project.folder / "headrace.yaml").read_text()


def test_another_name_changes_no_score_and_is_understood_from_then_on(project: Project) -> None:
    listed(project, "[create_key, collect_files, rollback, slow_answers]")
    question = live_questions()[0].text
    (answer,) = project.predict([question], task="intent", channel="desk")
    wrong = "rollback" if answer.label != "rollback" else "create_key"
    project.add_feedback(answer.id, "correction", wrong)
    before, first = said(project, QUESTIONS), serving(project)

    found = project.rename_label("intent", wrong, "renamed")
    assert found.corrections == 1
    assert {pair.released for pair in found.pairs} == {True}
    assert "every score stays as it was" in found.pairs[0].message
    assert said(project, QUESTIONS) == [("renamed" if n == wrong else n, sure) for n, sure in before]
    old, new = weights(project, first), weights(project, serving(project))
    assert old.labels == tuple(wrong if name == "renamed" else name for name in new.labels)
    assert (old.dense.tobytes(), old.bias.tobytes(), old.weights.tobytes()) == (
        new.dense.tobytes(), new.bias.tobytes(), new.weights.tobytes(),
    )  # fmt: skip
    assert said(project, [question])[0][0] == "renamed", "the memory knows the new name"
    assert wrong not in project.labels("intent")
    assert wrong not in project.store.examples.labels("intent")

    late = "how do we take all of that back"
    project.add_rows([{"text": late, "label": wrong}], channel="desk", task="intent")
    project.clean()
    assert {e.label for e in project.store.examples.of("intent", ["desk"]) if e.text == late} == {"renamed"}
    with pytest.raises(NotFound, match="has no label"):
        project.rename_label("intent", wrong, "again")
    with pytest.raises(Conflict, match="headrace label merge"):
        project.rename_label("intent", "renamed", "slow_answers")
    with pytest.raises(InputError, match="cannot be a label"):
        project.rename_label("intent", "renamed", " \n ")


def test_a_right_answer_under_the_old_name_teaches_the_new_one(project: Project) -> None:
    question = live_questions()[0].text
    (answer,) = project.predict([question], task="intent", channel="desk")
    project.add_feedback(answer.id, "right")
    project.rename_label("intent", answer.label, "renamed")
    assert project.turn().absorbed.confirmed == 1
    assert {e.label for e in project.store.examples.of("intent") if e.text == question} == {"renamed"}


def test_a_label_may_be_added_again_under_a_former_name(project: Project) -> None:
    project.rename_label("intent", "rollback", "back")
    found = project.add_label("intent", "rollback", TEN, channel="desk")
    assert {pair.released for pair in found.pairs} == {True}
    assert said(project, ["where is the zebra please"])[0][0] == "rollback"
    project.add_rows([{"text": "yet another zebra", "label": "rollback"}], channel="desk", task="intent")
    project.clean()
    assert sum(e.label == "rollback" for e in project.store.examples.of("intent")) == 11


def test_labels_that_are_merged_are_answered_as_one(project: Project) -> None:
    before = said(project, QUESTIONS)
    found = project.merge_labels("intent", ["create_key", "collect_files"], "things")
    assert {pair.released for pair in found.pairs} == {True}
    merged = {"create_key": "things", "collect_files": "things"}
    now = [label for label, _ in said(project, QUESTIONS)]
    assert now == [merged.get(label, label) for label, _ in before]
    assert serving(project).labels == ("rollback", "slow_answers", "things")
    again = project.merge_labels("intent", ["things", "rollback"], "rollback")
    assert {pair.released for pair in again.pairs} == {True}
    assert set(serving(project).labels) == {"rollback", "slow_answers"}
    with pytest.raises(InputError, match="needs two labels"):
        project.merge_labels("intent", ["rollback", "rollback"], "rollback")


def test_a_merge_into_a_third_label_must_name_it(project: Project) -> None:
    with pytest.raises(Conflict, match="among those to merge"):
        project.merge_labels("intent", ["create_key", "collect_files"], "rollback")
    with pytest.raises(NotFound, match="Did you mean 'create_key'"):
        project.merge_labels("intent", ["create_kee", "collect_files"], "things")


def test_a_change_cut_off_is_given_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Labels, "_successors", killed)
        with pytest.raises(Killed):
            project.rename_label("intent", "rollback", "back")
    assert "rollback" in serving(project).labels
    found = project.rename_label("intent", "rollback", "back")
    assert {pair.released for pair in found.pairs} == {True}
    assert "back" in serving(project).labels
    assert len(project.store.history.of_kind("labels", "intent")) == 1, "said twice, it is one change"


def test_a_channel_that_does_not_share_teaches_its_own_adapter_alone(project: Project) -> None:
    path = project.folder / "headrace.yaml"
    path.write_text(
        path.read_text().replace("forum: {tasks: [intent]", "forum: {share: false, tasks: [intent]")
    )
    project.__dict__.pop("recipe", None)
    shared = serving(project)
    found = project.add_label("intent", "zoo", TEN, channel="forum")
    assert [(pair.channel, pair.released) for pair in found.pairs] == [("forum", True)]
    assert found.pairs[0].challenger is not None
    assert found.pairs[0].challenger.channel == "forum"
    assert said(project, ["where is the zebra please"], "forum")[0][0] == "zoo"
    now = {release.channel: release.adapter for release in project.store.history.serving()}
    assert now["desk"] == shared.id
    assert "zoo" not in shared.labels


CHILD = """
import json, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
from headrace.errors import MissingExtra
from headrace.project import Project
project = Project(sys.argv[1])
found = project.rename_label("intent", "rollback", "back")
try:
    project.merge_labels("intent", ["back", "create_key"], "both")
    refused = ""
except MissingExtra as error:
    refused = str(error)
print(json.dumps([[pair.released for pair in found.pairs], refused]))
"""


def test_another_name_needs_no_torch(project: Project) -> None:
    command = [sys.executable, "-c", CHILD, str(project.folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    released, refused = json.loads(found.stdout)
    assert released == [True, True]
    assert "headrace[train]" in refused
