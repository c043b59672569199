"""After a turn: what came in, was learned, decided and rolled back is told, stored and counted once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_project import INTENTS, live_questions, make_project

from headrace.project import Project
from headrace.records import Clock, IdMaker
from headrace.reports.turns import TurnReport, last_report

pytestmark = pytest.mark.xdist_group("flywheel")


@pytest.fixture
def project(tmp_path: Path, clock: Clock, ids: IdMaker) -> Iterator[Project]:
    made = make_project(tmp_path / "p", clock=clock, ids=ids)
    yield made
    made.close()


def test_a_turn_tells_what_it_did_and_the_store_keeps_it(project: Project) -> None:
    first = project.turn().report
    assert first is not None
    assert {(one.channel, one.rows) for one in first.came_in} == {("desk", 120), ("forum", 120)}
    assert {one.outcome for one in first.decided} == {"released"}
    kinds = ["feedback", "rows", "training", "judging", "releasing", "drift"]
    assert [stage.name for stage in first.stages] == kinds
    assert 0.9 * first.seconds < sum(stage.seconds for stage in first.stages) <= first.seconds
    assert first.learned[0].rows > 0
    assert last_report(project.store) == first

    questions = [question.text for question in live_questions()[:2]]
    answers = project.predict(questions, task="intent", channel="desk")
    wanted = next(label for label in INTENTS if label != answers[0].label)
    project.add_feedback(answers[0].id, "correction", wanted)
    project.add_feedback(answers[1].id, "right")
    second = project.turn().report
    assert second is not None
    (desk,) = second.came_in
    assert (desk.channel, desk.rows, desk.feedback) == ("desk", 0, {"correction": 1, "right": 1})
    shared = next(one for one in second.learned if one.channel is None)
    assert shared.corrections >= 1
    assert "1 correction, 1 other verdict" in second.sentence

    if project.store.history.version() > 2:
        project.rollback("intent", "desk")
    third = project.turn().report
    assert third is not None
    assert third.came_in == ()


def test_a_turn_that_is_killed_and_continued_tells_all_of_it_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(project.flywheel, "_turn_task", killed)
        with pytest.raises(KeyboardInterrupt):
            project.turn()
    begun = project.store.turns.open()
    assert begun is not None
    report = project.turn().report
    assert report is not None
    assert (report.turn, report.continued) == (begun.id, True)
    assert sum(one.rows for one in report.came_in) == 240


def test_a_turn_that_fails_keeps_why_and_is_continued(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("mailto://user:secret@example.org")

    with monkeypatch.context() as patch:
        patch.setattr(project.flywheel, "_turn_task", broken)
        with pytest.raises(RuntimeError):
            project.turn()
    begun = project.store.turns.open()
    assert begun is not None
    assert begun.state["failed"] == "RuntimeError"
    assert TurnReport.of(begun) is None
    project.turn()
    assert project.store.turns.open() is None
