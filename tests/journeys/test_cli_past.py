"""The past in the terminal: what served whom, taught by what, whether it is as it was, and who is forgotten."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from small_project import INTENTS, live_questions, make_project

from headrace.cli import app
from headrace.project import Project
from headrace.store import tables

pytestmark = pytest.mark.xdist_group("cli")
Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Types a line in the project's folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(make_project(tmp_path / "p").folder)

    def typed(line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            app(shlex.split(line), prog_name="headrace")
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out, shown.err

    return typed


def test_the_past_is_told_verified_and_a_person_taken_out_of_it(run: Run, tmp_path: Path) -> None:
    assert run("turn")[0] == 0
    question = live_questions()[0].text
    answer = json.loads(run(f"predict '{question}' --channel desk --json")[1])[0]
    wrong = next(label for label in INTENTS if label != answer["label"])
    assert run(f"feedback add {answer['id']} --label {wrong} --person user-17")[0] == 0

    code, out, _ = run("history --at 2999-01-01")
    assert code == 0
    assert "intent/desk  adp_" in out
    assert "trained from 160 rows: desk/desk 80, forum/forum 80." in out
    assert out.startswith("Served at 2999-01-01")
    assert len(out.splitlines()) == 5, "nothing but what served: a head, and two lines a channel"
    told = json.loads(run("history --at 2999-01-01 --channel desk --json")[1])
    (served,) = told["served"]
    assert served["evidence"].startswith("Released as the first")
    assert len(served["taught"]["ids"]) == served["taught"]["rows"] == 160
    assert served["set_back"] is None
    assert json.loads(run("history --at 2020-01-01 --json")[1]) == {
        "at": "2020-01-01T23:59:59.999999+00:00",
        "served": [],
    }
    assert run("history --at 2020-01-01")[1].startswith("Nothing served at 2020-01-01")

    code, out, _ = run("history --verify")
    assert (code, out.startswith("The past is as it was: ")) == (0, True)
    head = json.loads(run("history --verify --json")[1])["head"]
    code, out, err = run("forget user-17")
    assert code == 0, err
    assert "Deleted: 1 feedback, 1 answers." in out
    assert "They had taught no adapter." in out
    assert "Backups" in err
    assert run("forget user-17")[0] == 2
    assert run(f"history --verify --head {head}")[0] == 0
    assert run("history --verify --head abc")[0] == 4

    set_the_clock_back(tmp_path / "p")
    assert "The clock was set back: it had said " in run("history --at 2020-01-01")[1]

    change_the_past(tmp_path / "p")
    code, out, _ = run("history --verify")
    assert code == 4
    assert "was changed" in out
    found = {one["subject"]: one for one in json.loads(run("doctor --json")[1])}
    assert found["chain of history"]["state"] == "fail"


def set_the_clock_back(folder: Path) -> None:
    """Release once more, by a clock that is years behind."""
    project = Project(folder)
    (last,) = project.store.history.releases(channel="desk")
    early = datetime(2019, 1, 1, tzinfo=UTC)
    project.store.history.add(replace(last, id="rel_early", at=early, previous=last.id))
    project.close()


def change_the_past(folder: Path) -> None:
    """Let the first release say something else."""
    project = Project(folder)
    with project.store.transaction() as connection:
        connection.execute(tables.releases.update().where(tables.releases.c.seq == 1).values(evidence={}))
    project.close()
