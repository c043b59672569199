"""A row goes round with a correction: collected, learned, answered, corrected, learned again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_project import INTENTS, live_questions, make_project

from headrace.errors import ArtifactError, NotFound, NotServed, StoreBusy, TrainingError
from headrace.project import Project
from headrace.records import Adapter, Clock, IdMaker
from headrace.store.lock import only_one

pytestmark = pytest.mark.xdist_group("flywheel")


@pytest.fixture
def project(tmp_path: Path, clock: Clock, ids: IdMaker) -> Iterator[Project]:
    made = make_project(tmp_path / "p", clock=clock, ids=ids)
    yield made
    made.close()


def test_the_first_turn_serves_every_channel_and_says_by_what_evidence(project: Project) -> None:
    with pytest.raises(NotServed):
        project.predict(["where is my key"], task="intent", channel="desk")
    turn = project.turn()
    assert [(p.channel, p.released) for p in turn.pairs] == [("desk", True), ("forum", True)]
    assert all("held-out rows right" in pair.message for pair in turn.pairs)
    served = {status.channel: status for status in project.status()}
    assert {s.channel: s.adapter and s.adapter.channel for s in served.values()} == {
        "desk": None,
        "forum": None,
    }
    assert served["desk"].judged is not None
    assert served["desk"].judged.n == served["desk"].test > 0


def test_a_second_turn_without_news_changes_nothing(project: Project) -> None:
    project.turn()
    before = project.store.history.version()
    turn = project.turn()
    assert project.store.history.version() == before
    assert {pair.message.split(":")[0] for pair in turn.pairs} == {"Nothing new"}


def test_a_correction_counts_at_once_here_alone_and_is_learned_by_the_next_turn(project: Project) -> None:
    project.turn()
    question = live_questions()[0]
    first = project.predict([question.text], task="intent", channel="desk")[0]
    elsewhere = project.predict([question.text], task="intent", channel="forum")[0]
    wanted = next(label for label in INTENTS if label != first.label)
    given = project.add_feedback(first.id, "correction", wanted)

    again = project.predict([question.text], task="intent", channel="desk")[0]
    assert (again.label, again.because) == (wanted, given.id)
    other = project.predict([question.text], task="intent", channel="forum")[0]
    assert (other.label, other.because) == (elsewhere.label, None), "another channel's answers stay"

    old = project.store.history.serving()[0].adapter
    turn = project.turn()
    assert turn.absorbed.added == 1
    assert project.feedback(used=False) == []
    learned = project.store.examples.of("intent", ["desk"])
    assert [e.label for e in learned if e.text == question.text] == [wanted]
    newest = project.store.history.adapters("intent", "")[0]
    split = next(e.split for e in learned if e.text == question.text)
    assert (newest.id != old) == (split == "train"), "a correction held out to judge changes no adapter"


def test_a_spoilt_challenger_is_refused_in_one_sentence_and_what_serves_stays(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", margin=3.0)
    project.turn()
    before = project.store.history.serving()
    examples = project.store.examples.of("intent", splits=["train"])
    labels = [example.label for example in examples]
    random.Random(1).shuffle(labels)
    spoilt = [replace(example, label=label) for example, label in zip(examples, labels, strict=True)]
    results = project.release(project.train("intent", examples=spoilt))
    assert [result.released for result in results] == [False, False]
    assert results[0].message.startswith(("Refused:", "Not released:"))
    assert results[0].message.count("\n") == 0
    assert project.store.history.serving() == before
    assert any(line.kind == "refused" for line in project.history())
    project.close()


def spoilt(project: Project) -> Adapter:
    """An adapter whose training labels were shuffled."""
    examples = project.store.examples.of("intent", splits=["train"])
    labels = [example.label for example in examples]
    random.Random(1).shuffle(labels)
    shuffled = [replace(example, label=label) for example, label in zip(examples, labels, strict=True)]
    return project.train("intent", examples=shuffled)


def test_rollback_goes_back_to_what_served_and_the_next_turn_does_not_undo_it(project: Project) -> None:
    project.turn()
    first = {r.channel: r.adapter for r in project.store.history.serving()}
    with pytest.raises(NotFound, match="nothing was released before"):
        project.rollback("intent", "desk")
    project.add_rows(
        [{"text": "how do i get a new key thanks a lot", "label": "create_key", "split": "train"}],
        channel="desk",
        task="intent",
    )
    assert [pair.released for pair in project.turn().pairs] == [True, True]
    project.rollback("intent", "desk")
    again = {pair.channel: pair.message for pair in project.turn().pairs}
    assert "rolled back" in again["desk"]
    assert {r.channel: r.adapter for r in project.store.history.serving()}["desk"] == first["desk"]
    kinds = [line.kind for line in project.history(channel="desk")]
    assert kinds.count("rollback") == 1
    named = project.release(project.store.history.adapters("intent", "")[0], ["desk"])
    assert named[0].released, "a person may take it up again"


def test_a_refused_adapter_serves_no_new_channel(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", margin=3.0)
    project.turn()
    serving = project.store.history.serving()[0].adapter
    bad = spoilt(project)
    project.release(bad)
    project.add_channel("app", ["intent"])
    assert {pair.channel: pair.released for pair in project.release(bad)} == {
        "desk": False,
        "forum": False,
        "app": False,
    }
    assert project.predict(["a new key"], task="intent", channel="app")[0].adapter == serving
    assert [p.released for p in project.turn().pairs if p.channel == "app"] == [True]
    project.close()


def test_a_refusal_holds_until_the_gate_or_the_rows_change(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", margin=3.0)
    project.turn()
    bad = spoilt(project)
    judged = project.flywheel.judge(bad, ["desk"])
    said = [project.flywheel._release_new(bad, judged)[0].message for _ in range(2)]
    assert said[0].startswith(("Refused", "Not released"))
    assert said[1].startswith("Nothing new")
    path = project.folder / "headrace.yaml"
    path.write_text(path.read_text().replace("margin: 3.0", "margin: 100"))
    wider = Project(project.folder)
    assert not wider.flywheel._release_new(bad, judged)[0].message.startswith("Nothing new")
    wider.close()
    project.close()


def test_corrections_do_not_judge_because_they_are_what_the_champion_got_wrong(project: Project) -> None:
    adapter = project.train("intent")
    before = project.evaluate(adapter)["desk"].judgement
    held = project.store.examples.of("intent", ["desk"], ["test"])[0]
    wrong = replace(held, id="row_corrected", text="not seen", origin="feedback", label="rollback")
    project.store.examples.settle([(wrong, "key")])
    assert project.evaluate(adapter)["desk"].judgement == before


def test_the_same_examples_and_seed_give_the_same_adapter_and_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        project = make_project(tmp_path / name / "p")
        adapter = project.train("intent")
        made.append(project.store.artifacts.get(adapter.files["head.safetensors"]))
        assert project.train("intent") == adapter, "it is there already"
        project.close()
    assert made[0] == made[1]


def test_the_doctor_of_a_healthy_project_finds_nothing_broken(project: Project) -> None:
    project.turn()
    found = project.doctor()
    assert {finding.state for finding in found} <= {"ok", "warn"}
    assert len(found) > 5


def test_one_turn_at_a_time(project: Project) -> None:
    with only_one(project.store.database, project.folder, "turn"), pytest.raises(StoreBusy, match="running"):
        project.turn()


def test_a_task_without_examples_waits_and_does_not_stop_the_turn(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", ready=False)
    turn = project.turn()
    assert [pair.released for pair in turn.pairs] == [False, False]
    assert "no example" in turn.pairs[0].message
    with pytest.raises(TrainingError, match="no example"):
        project.train("intent")
    project.close()


def test_rows_of_a_channel_that_does_not_share_stay_out_of_the_shared_adapter(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    path = project.folder / "headrace.yaml"
    path.write_text(
        path.read_text().replace("forum: {tasks: [intent]", "forum: {share: false, tasks: [intent]")
    )
    project = Project(project.folder)
    own = len(project.store.examples.of("intent", ["desk"], ["train"]))
    adapter = project.train("intent")
    rows = [adapter.lineage[name] for name in ("training_rows", "validation_rows")]
    assert sum(n for n in rows if isinstance(n, int)) == own
    project.close()


def test_a_damaged_graph_is_neither_judged_by_nor_handed_on(project: Project) -> None:
    project.turn()
    old = project.store.history.adapters("intent", "")[0]
    path = project.store.artifacts.path(old.files["graph.onnx"])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    project.close()  # what is open already stays whole
    fresh = Project(project.folder)
    with pytest.raises(ArtifactError, match="damaged"):
        fresh.evaluate(old)
    new = fresh.train("intent", seed=7)
    assert fresh.store.artifacts.get(new.files["graph.onnx"])
    assert fresh.evaluate(new)
    fresh.close()
