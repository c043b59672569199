"""Why did it say that, since when, taught by whom: from one line to the rows and corrections behind an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from small_project import INTENTS, live_questions, make_project

from headrace.cli import app
from headrace.errors import NotFound
from headrace.project import Project
from headrace.reports import trace as tracing

pytestmark = pytest.mark.xdist_group("flywheel")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that has turned once."""
    made = make_project(tmp_path_factory.mktemp("traced") / "p")
    made.turn()
    yield made
    made.close()


def test_a_first_answer_is_traced_to_rows_then_to_a_correction_then_to_what_it_taught(
    project: Project,
) -> None:
    text = live_questions()[0].text
    (first,) = project.predict([text], task="intent", channel="desk")
    found = project.trace(first.id)
    (serving,) = [r for r in project.store.history.serving() if r.channel == "desk"]
    assert found.release == serving
    assert (found.since, found.trial, found.because) == (serving.at, None, None)
    assert "held-out rows" in found.evidence
    assert found.sentence.startswith(f"{first.label!r} (")
    assert len(found.nearest) == tracing.NEAREST
    assert [one.similarity for one in found.nearest] == sorted(
        (n.similarity for n in found.nearest), reverse=True
    )
    assert found.rows == found.compared > 100
    assert found.corrections == 0
    taught = {e.id: e for e in project.store.examples.of("intent", splits=["train"])}
    assert all(taught[one.row].label == one.label for one in found.nearest)

    wanted = next(label for label in INTENTS if label != first.label)
    given = project.add_feedback(first.id, "correction", wanted, person="ann@example.org")
    (again,) = project.predict([text], task="intent", channel="desk")
    decided = project.trace(again.id)
    assert decided.because is not None
    assert (decided.because.id, decided.because.person, decided.because.at) == (
        given.id,
        given.person,
        given.at,
    )
    assert decided.sentence.startswith(f"{wanted!r}, because {given.person} corrected")
    assert [one.id for one in project.trace(first.id).said_of_it] == [given.id]

    # The adapter finds it implausible, so it trains once three have said it.
    more = [project.add_feedback(again.id, "correction", wanted, person=who) for who in ("ben", "cleo")]
    project.turn()
    newest = project.store.history.adapters("intent", "")[0]
    project.release(newest)
    (later,) = project.predict([text], task="intent", channel="desk")
    learned = project.trace(later.id)
    assert learned.adapter.id == newest.id, "the rows below are those of the new adapter"
    (near,) = [one for one in learned.nearest if one.corrections]
    assert [one.id for one in near.corrections] == [given.id, *(one.id for one in more)]
    assert near.text == text
    assert near.similarity == pytest.approx(1, abs=1e-3)
    assert more[-1].person is not None
    assert more[-1].person in near.taught_by
    assert "ann@" not in json.dumps(learned.to_json())


def test_where_there_are_many_rows_those_with_most_words_in_common_are_compared(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = live_questions()[0].text
    (answer,) = project.predict([text], task="intent", channel="desk")
    whole = project.trace(answer.id)
    monkeypatch.setattr(tracing, "COMPARED", 40)
    part = project.trace(answer.id)
    assert (part.compared, part.rows) == (40, whole.rows)
    assert part.nearest[0].similarity >= whole.nearest[2].similarity
    assert any("40 of them compared" in line for line in part.lines())


def test_the_command_line_says_it_in_one_line_first_and_as_json(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (answer,) = project.predict(["new key please"], task="intent", channel="desk")
    words = ["-C", str(project.folder), "trace", answer.id]
    app(words, standalone_mode=False)
    told = capsys.readouterr().out
    assert told.splitlines()[0].startswith(f"{answer.label!r} (")
    assert "Nearest of" in told
    app([*words, "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["answer"]["id"] == answer.id
    assert found["sentence"] == told.splitlines()[0]
    assert len(found["nearest"]) == tracing.NEAREST


def test_an_answer_that_nobody_gave_is_not_found(project: Project) -> None:
    with pytest.raises(NotFound, match="no such answer"):
        project.trace("ans_none")
