"""A project by hand: every example of the help is typed, in the order in which a user would."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from headrace.cli import app
from headrace.cli.reference import leaves, split
from headrace.demo import helpdesk
from tiny_base import make_tiny_base

pytestmark = pytest.mark.xdist_group("cli")
INTENTS = ("create_key", "collect_files", "rollback", "slow_answers")
# Verbs that build or wait: their own tests run them.
ELSEWHERE = ("serve", "demo")
Shown = tuple[int, str, str]
Run = Callable[..., Shown]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Types a line; gives exit code, stdout and stderr."""

    def typed(line: str) -> Shown:
        with pytest.raises(SystemExit) as ended:
            app(shlex.split(line), prog_name="headrace")
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out, shown.err

    return typed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has before the first line: rows of two channels, and a base."""
    folder = tmp_path_factory.mktemp("cli")
    make_tiny_base(folder / "base")
    (folder / "data").mkdir()
    rows = [row for row in helpdesk.material("helpdesk-en").rows if row["label"] in INTENTS]
    write(folder / "data" / "tickets.csv", [f"{row['text']!r}".replace(",", ";") + f",{row['label']}" for row in rows])
    return folder


def write(path: Path, lines: list[str], head: str = "text,label") -> None:
    """A CSV file."""
    path.write_text("\n".join([head, *lines, lines[0], ",refund"]) + "\n", encoding="utf-8")


def here(folder: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> None:
    """Stand in a folder with the rows, as a user would."""
    folder.mkdir(exist_ok=True)
    (folder / "data").mkdir()
    (folder / "data" / "tickets.csv").write_bytes((made / "data" / "tickets.csv").read_bytes())
    monkeypatch.chdir(folder)


def with_tiny_base(folder: Path, made: Path) -> None:
    """The first recipe, on a base that is made in a moment."""
    path = folder / "headrace.yaml"
    text = path.read_text(encoding="utf-8").replace("all-MiniLM-L6-v2", str(made / "base"))
    path.write_text(f"{text}train:\n  method: head\n", encoding="utf-8")


def examples() -> dict[str, list[str]]:
    """The lines of each verb's example."""
    tree: Any = typer.main.get_command(app)
    return {" ".join(path[1:]): split(command.help)[1] for path, command in leaves(tree)}


ORDER = (
    "channel list, channel add, key new, key list, key revoke, collect, clean, quarantine list, status, train,"
    " evaluate, release, predict, feedback add, feedback list, turn, rollback, history, quarantine restore,"
    " channel remove, backup, restore, doctor"
).split(", ")


def test_every_example_works_when_it_is_typed(
    tmp_path: Path, made: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids in an example stand for the ids that came out before; everything else is typed as it stands."""
    told = examples()
    assert {*ORDER, "init", *ELSEWHERE} == set(told)
    here(tmp_path / "user", monkeypatch, made)
    for line in told["init"]:
        assert run(line.removeprefix("headrace "))[0] in (0, 2), line
    assert run("init --name my-shop")[0] == 0
    with_tiny_base(Path(), made)
    rows = [f"{i} my body of text,slow_answers" for i in range(3)]
    write(Path("reviews.csv"), rows, head="body,topic")
    Path("questions.txt").write_text("how do I make a key\nwhy is it slow\n", encoding="utf-8")
    ids: dict[str, str] = {}
    for verb in ORDER:
        for line in told[verb]:
            typed = re.sub(r"\b(ans|key|rel|q)_3f2c9a", lambda found: ids[found.group(1)], line)
            typed = typed.replace("refund", "rollback")
            code, out, err = run(typed.removeprefix("headrace "))
            assert code == 0, f"{typed}\n{out}\n{err}"
            if "--json" in typed:
                json.loads(out)
            for kind in ("ans", "key", "rel"):
                ids |= {kind: found for found in re.findall(rf"\b{kind}_[0-9a-f]+", out + err)}
        if verb == "release":
            ids["rel"] = json.loads(run("release --json")[1]) and _first_release(run)
        if verb == "quarantine list":
            ids["q"] = next(one["id"] for one in json.loads(run("quarantine list --json")[1]) if one["row"])
        if verb == "turn":
            run("feedback list")
    assert Path("answers.jsonl").read_text(encoding="utf-8").count("\n") == 2


def _first_release(run: Run) -> str:
    lines = json.loads(run("history --json")[1])
    return next(str(line["id"]) for line in lines if line["kind"] == "release")
