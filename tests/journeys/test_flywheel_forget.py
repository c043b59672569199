"""Forget a person: the store, the adapters and the answers are those of a life in which they never were."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from forget_stand import BOB, RENAMED, Life, Texts, adapters, answers, examples, forget, hits, live, texts
from small_project import INTENTS, rows
from zygote import Zygote

from headrace.errors import MissingExtra, NotFound
from headrace.feedback.record import pseudonym
from headrace.flywheel.forgetting.forget import Forgotten
from headrace.project import Project
from headrace.records import IdMaker
from headrace.store.manifest import FILE

pytestmark = pytest.mark.xdist_group("forget")


@dataclass(frozen=True)
class Lives:
    """A life with the person, as it was before, and as it is since they were forgotten; and one without them."""

    before: Path
    here: Project
    other: Project
    said: Texts
    done: Forgotten
    names: tuple[str, ...]

    @property
    def asked(self) -> list[str]:
        """Questions: those of the life, and others."""
        said = [*self.said.theirs, self.said.fresh, self.said.near, self.said.again]
        return said + [row["text"] for channel in ("desk", "forum") for row in rows(channel)[:8]]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    folder = tmp_path_factory.mktemp("lives")
    one, other = Life(folder / "with"), Life(folder / "without", BOB)
    said = live(one)
    live(other)
    before = folder / "before"
    one.project.close()
    shutil.copytree(folder / "with", before)
    here = Project(folder / "with", clock=one.clock, ids=one.ids)
    who = pseudonym(BOB, here.store.salts.persons(one.ids))
    given = here.store.feedback.list(person=who)
    assert len(given) == 7
    names = (who, BOB, *(f.id for f in given), *(f.answer for f in given))
    one.event(20)
    done = here.forget(BOB)
    other.event(20)
    yield Lives(before, here, other.project, said, done, names)
    here.close()
    other.project.close()


@pytest.fixture
def copies(lives: Lives) -> Iterator[tuple[Project, Project]]:
    """Copies of both lives, to live on in."""
    made = []
    for one in (lives.here, lives.other):
        folder = one.folder.with_name(f"{one.folder.name} on")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(one.folder, folder)
        made.append(Project(folder, ids=_counting(itertools.count(1))))
    yield made[0], made[1]
    for copy in made:
        copy.close()


def _counting(numbers: Iterator[int]) -> IdMaker:
    return lambda kind: f"{kind}_on{next(numbers)}"


def test_every_adapter_has_the_bytes_it_would_have_had_without_them(lives: Lives) -> None:
    assert lives.done.taught == lives.done.again == 7, (
        "two turns of a shared one and two own, and one renamed"
    )
    assert adapters(lives.here) == adapters(lives.other)


def test_what_is_learned_from_is_what_it_would_be(lives: Lives) -> None:
    assert examples(lives.here) == examples(lives.other)
    assert lives.here.store.rows.counts() == lives.other.store.rows.counts()
    assert lives.here.store.quarantine.counts() == lives.other.store.quarantine.counts()
    assert lives.here.store.rows.masked() == lives.other.store.rows.masked()


def test_every_answer_is_the_same_by_the_same_adapter(lives: Lives, copies: tuple[Project, Project]) -> None:
    assert lives.done.released == ("intent/desk", "intent/forum")
    here, other = (answers(copy, lives.asked) for copy in copies)
    assert here == other


def test_life_goes_on_as_it_would_have(lives: Lives, copies: tuple[Project, Project]) -> None:
    for copy in copies:
        given = copy.predict([lives.said.fresh], task="intent", channel="forum")[0]
        copy.add_feedback(given.id, "correction", RENAMED)
        copy.turn()
    assert adapters(copies[0]) == adapters(copies[1])
    assert answers(copies[0], lives.asked) == answers(copies[1], lives.asked)


def test_nothing_of_theirs_is_left_in_any_file(lives: Lives) -> None:
    words = (*lives.said.theirs, *lives.names)
    assert hits(lives.before, words), "the search finds what is there"
    assert hits(lives.here.folder, words) == {}


def test_the_history_still_verifies_and_names_nobody(lives: Lives) -> None:
    found = lives.here.verify_history()
    assert found.whole, found.sentence
    assert found.forgotten >= 6
    told = [line for line in lives.here.history() if line.kind == "forgotten"]
    assert [line.message.split()[0] for line in told] == ["A", "Replaced:"]


def test_a_rollback_goes_to_what_would_have_been_before(copies: tuple[Project, Project]) -> None:
    here, other = ([copy.rollback("intent", "desk").adapter for _ in range(2)] for copy in copies)
    assert here == other


def test_who_is_not_there_is_said_so(lives: Lives) -> None:
    with pytest.raises(NotFound, match="nothing that this person said"):
        lives.here.forget(BOB)


def test_who_only_said_what_another_said_too_taught_nothing(tmp_path: Path) -> None:
    life, said = Life(tmp_path / "p"), texts()
    life.turn(1)
    life.says(2, "ann", said.fresh, INTENTS[1])
    life.says(3, BOB, said.fresh, INTENTS[1])
    life.says(4, "cat", said.last, INTENTS[3])
    life.turn(5)
    project = life.project
    before = {name: {**files, FILE: ""} for name, files in adapters(project).items()}
    serving = project.store.history.serving()
    life.event(6)
    done = project.forget(BOB)
    assert (done.taught, done.deleted["rows"], done.deleted["feedback"]) == (0, 0, 1)
    assert {name: {**files, FILE: ""} for name, files in adapters(project).items()} == before
    assert project.store.history.serving() == serving
    taught = project.served()[0].taught
    assert taught is not None
    assert sorted(name[:6] for name in taught.feedback) == ["fb_002", "fb_004"]
    assert project.verify_history().whole
    assert hits(project.folder, [BOB, "fb_003x", "ans_003x"]) == {}
    project.close()


STEPS = [
    "headrace.store.erase:redact_in",
    "headrace.flywheel.training.trainer:Trainer._keep",
    "headrace.flywheel.forgetting.replacing:Replacing.replace",
    "headrace.flywheel.forgetting.replacing:Replacing._save_in",
    "headrace.store.artifacts:Artifacts.remove",
    "headrace.store.erase:compact",
]


def test_killed_at_any_step_it_is_finished_by_running_it_again(lives: Lives, tmp_path: Path) -> None:
    folder = lives.before.parent / "killed"
    with Zygote() as zygote:
        for at in STEPS:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(lives.before, folder)
            assert zygote.call(forget, str(folder), at).error == "it died by itself", at
            zygote.call(forget, str(folder), "").value()
            project = Project(folder)
            assert adapters(project) == adapters(lives.other), at
            assert examples(project) == examples(lives.other), at
            assert project.verify_history().whole, at
            assert hits(folder, (*lives.said.theirs, *lives.names)) == {}, at
            project.close()


def test_where_training_is_missing_what_they_taught_serves_no_more(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lives.before.parent / "bare"
    shutil.copytree(lives.before, folder)
    project = Project(folder)
    first = project.store.history.made()[0].id

    def missing(*_: object, **__: object) -> None:
        raise MissingExtra("Training", "train")

    with monkeypatch.context() as patched:
        patched.setattr("headrace.plugins.require", missing)
        with pytest.raises(MissingExtra, match=r"is deleted.*serves no more.*headrace\[train\]"):
            project.forget(BOB)
    assert {r.adapter for r in project.store.history.serving()} == {first}
    assert project.verify_history().whole
    assert project.forget(BOB).released == ("intent/desk", "intent/forum")
    assert adapters(project) == adapters(lives.other)
    assert hits(folder, (*lives.said.theirs, *lives.names)) == {}
    project.close()
