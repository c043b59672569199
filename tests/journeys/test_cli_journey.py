"""A project by hand: every example of the help is typed, in the order in which a user would."""

from __future__ import annotations

import csv
import json
import re
import shlex
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from pyarrow.parquet import read_metadata
from tiny_base import make_tiny_base

from headrace.cli import app
from headrace.cli.reference import leaves, split

pytestmark = pytest.mark.xdist_group("cli")
ELSEWHERE = ("serve", "demo")  # they run until they are ended: tests of their own
ELSEWHERE += ("feedback accept", "feedback reject")  # nothing is held here
ELSEWHERE += ("trial show", "trial stop", "audit label")  # no trial is open: see test_flywheel_trials.py
ELSEWHERE += tuple(  # see test_cli_support.py
    f"support {verb}" for verb in ("ask", "tickets", "take", "answer", "check", "standing", "secret")
)
ELSEWHERE += tuple(  # see test_cli_service.py
    f"{group} {verb}"
    for group, verbs in (
        ("knowledge", "sync list show add publish flag remove gaps"),
        ("webhook", "secret list retry"),
        ("expect", "add list remove check"),
        ("retention", "apply"),
    )
    for verb in verbs.split()
)
ELSEWHERE += ("search", "lm", "console")
ELSEWHERE += ("user add", "user list", "user disable", "user password")  # see test_console_cli.py
ASKED = {
    "refund": "money back for order",
    "parcel": "where is parcel number",
    "password": "reset the password of",
}
ORDER = (
    "channel list",
    "channel add",
    "key new",
    "key list",
    "key revoke",
    "collect",
    "clean",
    "quarantine list",
    "golden add",
    "golden list",
    "golden remove",
    "train",
    "evaluate",
    "release",
    "trial list",
    "audit list",
    "predict",
    "feedback add",
    "feedback list",
    "turn",
    "status",
    "trace",
    "rollback",
    "label add",
    "label rename",
    "label merge",
    "feedback undo",
    "forget",
    "history",
    "quarantine restore",
    "channel remove",
    "backup",
    "restore",
    "doctor",
)
Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Types a line; gives exit code, stdout and stderr."""

    def typed(line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            app(shlex.split(line.removeprefix("headrace ")), prog_name="headrace")
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out, shown.err

    return typed


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that is made in a moment."""
    return make_tiny_base(tmp_path_factory.mktemp("cli") / "base")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows, in which the user stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    rows = [row for label in ASKED for row in asked(label, range(25))]
    table(
        tmp_path / "data" / "tickets.csv",
        [*rows, rows[-1], ("", "refund"), ("mail me: joe@example.com", "parcel")],
    )
    table(tmp_path / "golden.csv", [(f"golden: {ASKED['parcel']}", "parcel")])
    asked_refund = {"question": f"golden: {ASKED['refund']}", "topic": "refund"}
    (tmp_path / "golden.jsonl").write_text(json.dumps(asked_refund), encoding="utf-8")
    table(
        tmp_path / "reviews.csv",
        [(f"forum: {ASKED['parcel']} {i}", "parcel") for i in range(3)],
        ("body", "topic"),
    )
    ten = [f"{words} i need the invoice of order {n}" for n, words in enumerate("abcdefghij")]
    (tmp_path / "ten.txt").write_text("\n".join(ten), encoding="utf-8")
    table(
        tmp_path / "ten.csv",
        [(f"{words} how long is the warranty {n}", "") for n, words in enumerate("klmnopqrst")],
    )
    (tmp_path / "questions.txt").write_text("where is parcel number 77\n\nreset it\n", encoding="utf-8")
    return tmp_path


def asked(label: str, numbers: Iterable[int]) -> list[tuple[str, str]]:
    """Questions of one label that are unlike enough to be no near-duplicates of each other."""
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}" * 4 for n in range(200)]
    return [(f"{words[n]} {ASKED[label]} {words[n + 80]} {n}", label) for n in numbers]


def table(path: Path, rows: Sequence[Sequence[str]], head: Sequence[str] = ("text", "label")) -> None:
    """A CSV file."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def begun(folder: Path, base: Path, run: Run) -> None:
    """A project in `folder` on the tiny base, with a gate that lets small gains pass."""
    assert run("init --name my-shop")[0] == 0
    path = folder / "headrace.yaml"
    text = path.read_text(encoding="utf-8").replace("base: all-MiniLM-L6-v2", f"base: {base}")
    path.write_text(f"{text}train: {{method: head}}\ngate: {{margin: 90}}\n", encoding="utf-8")


def examples() -> dict[str, list[str]]:
    """The lines of each verb's example."""
    tree: Any = typer.main.get_command(app)
    return {" ".join(path[1:]): split(command.help)[1] for path, command in leaves(tree)}


def with_ids(line: str, ids: Mapping[str, str]) -> str:
    """A line of an example with the ids that came out before."""
    return re.sub(r"\b(ans|fb|key|rel|q|row)_3f2c9a", lambda found: ids[found.group(1)], line)


def newest_release(run: Run) -> str:
    """The id of the last release to website."""
    lines = json.loads(run("history --channel website --json")[1])
    return str([line["id"] for line in lines if line["kind"] == "release"][-1])


def test_every_example_works_when_it_is_typed(folder: Path, base: Path, run: Run) -> None:
    """Ids in an example stand for those that came out before; everything else is typed as it stands."""
    told = examples()
    assert {*ORDER, "init", *ELSEWHERE} == set(told)
    assert [run(line)[0] for line in told["init"]] == [0, 2], "the second finds the first one's project"
    begun(folder, base, run)
    ids: dict[str, str] = {}
    for verb in ORDER:
        for line in told[verb]:
            typed = with_ids(line, ids)
            code, out, err = run(typed)
            assert code == 0, f"{typed}\n{out}\n{err}"
            if "--json" in typed:
                json.loads(out)
            ids |= {
                found.partition("_")[0]: found
                for found in re.findall(r"\b(?:ans|fb|key)_[0-9a-f]+", out + err)
            }
        if verb == "feedback list":
            table(folder / "data" / "tickets.csv", asked("refund", range(60, 80)))
            assert run("collect")[0] == 0
        if verb in ("release", "turn"):
            ids["rel"] = newest_release(run)
        if verb == "golden list":
            ids["row"] = json.loads(run("golden list --json")[1])[0]["id"]
        if verb == "quarantine list":
            ids["q"] = json.loads(run("quarantine list --reason duplicate --json")[1])[0]["id"]
    assert read_metadata(folder / "answers.parquet").num_rows == 3, "the rows of reviews.csv"
    assert "<svg" in (folder / "evaluation.html").read_text(encoding="utf-8")


def test_the_lines_tell_what_became_of_the_rows(folder: Path, base: Path, run: Run) -> None:
    begun(folder, base, run)
    first = json.loads(run("collect --json")[1])["tickets"]
    assert (first["read"], first["new"], first["repeated"]) == (78, 77, 1)
    assert first["reasons"] == {"duplicate": 1}
    assert first["masked"] == {"email": 1}
    again = run("collect")[1]
    assert "Nothing new." in again
    assert json.loads(run("collect --json")[1])["tickets"]["known"] == 78
    said = run("clean")[1]
    assert "77 new rows: 76 became examples" in said
    assert "1 empty" in said
    assert "joe@" not in run("quarantine list")[1] + run("status")[1]
    status = json.loads(run("status --json")[1])["pairs"]
    assert [(one["serves"], one["rejected"]) for one in status] == [("not yet", {"duplicate": 1, "empty": 1})]


def test_a_turn_serves_and_a_correction_is_heard(folder: Path, base: Path, run: Run) -> None:
    begun(folder, base, run)
    code, _, err = run("predict hello")
    assert (code, "no adapter answers 'intent' for channel 'website' yet" in err) == (5, True)
    run("collect")
    code, out, _ = run("turn --html turn.html")
    assert code == 0
    assert "intent/website: Released as the first" in out
    assert "<svg" in (folder / "turn.html").read_text(encoding="utf-8")
    answer = json.loads(run("predict 'where is parcel number 400' --json")[1])[0]
    assert answer["label"] == "parcel"
    assert run(f"feedback add {answer['id']} --label refund")[0] == 0
    assert [one["label"] for one in json.loads(run("feedback list --waiting --json")[1])] == ["refund"]
    assert json.loads(run("predict 'where is parcel number 400' --json")[1])[0]["label"] == "refund"
    turn = json.loads(run("turn --json")[1])
    assert turn["absorbed"]["read"] == 1
    assert json.loads(run("feedback list --waiting --json")[1]) == []
    served = json.loads(run("status --json")[1])["pairs"][0]
    assert served["serves"] == "shared"
    assert served["accuracy"]["n"] == served["test"]
    code, out, _ = run("history --at 2020-01-01")
    assert "Nothing served at 2020-01-01" in out


def test_a_file_of_questions_becomes_a_file_of_answers(folder: Path, base: Path, run: Run) -> None:
    begun(folder, base, run)
    run("collect")
    run("turn")
    table(
        folder / "asked.csv",
        [("money back for order 3", "x"), ("", "y"), ("reset the password of me", "z")],
        ("q", "n"),
    )
    code, _, err = run("predict --file asked.csv --column q --out answers.csv")
    assert code == 0
    assert "asked.csv:3" in err, "the empty line is named"
    with open(folder / "answers.csv", encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["n"], row["label"]) for row in found] == [("x", "refund"), ("y", ""), ("z", "password")]
    code, _, err = run("predict --file asked.csv --column question")
    assert (code, "There are: q, n" in err) == (2, True)
    assert run("predict --file asked.csv --column q --out answers.xml")[0] == 2


MISTAKES = [
    ("train intnt", 2, "Did you mean 'intent'?"),
    ("train intent --channel webste", 2, "Did you mean 'website'?"),
    ("train intent", 5, "headrace collect"),
    ("evaluate", 2, "headrace train"),
    ("evaluate adp_none", 2, "there is no adapter 'adp_none'"),
    ("collect tickts", 2, "tickets"),
    ("collect tickets --file reviews.csv", 2, "Leave one of them out"),
    ("collect --text body", 2, "Add --file"),
    ("collect --file data/tickets.csv", 2, "headrace collect tickets"),
    ("collect --file reviews.csv", 2, "body, topic"),
    ("collect --file nowhere.csv", 2, "nowhere.csv"),
    ("channel add website --task intent", 2, "exists already"),
    ("channel add 'Web Site' --task intent", 2, "pattern"),
    ("channel add forum --task intnt", 2, "Did you mean 'intent'?"),
    ("channel remove website", 2, "tickets"),
    ("key new webste", 2, "Did you mean 'website'?"),
    ("key revoke key_none", 2, "headrace key list"),
    ("predict", 2, "give either TEXT or a FILE"),
    ("predict hello --out answers.csv", 2, "--out takes the answers to a FILE"),
    ("predict nowhere.csv", 2, "nowhere.csv"),
    ("predict reviews.csv questions.txt", 2, "one file at a time"),
    ("predict questions.txt --out answers.csv", 5, "headrace turn"),
    ("predict hello --channel forum", 2, "there is no channel 'forum'"),
    ("feedback add ans_none --verdict right", 2, "there is no such answer"),
    ("feedback add ans_none", 2, "--label LABEL"),
    ("quarantine restore q_none", 2, "headrace quarantine list"),
    ("rollback", 2, "headrace train"),
    ("history --at yesterday", 2, "Write 2026-03-01"),
    ("backup headrace.yaml", 2, "--force"),
    ("restore questions.txt -C elsewhere", 2, "questions.txt"),
    ("init", 2, "there is a project here already"),
    ("status -C nowhere", 2, "headrace init"),
]


@pytest.mark.parametrize(("line", "code", "said"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_a_mistake_is_told_with_its_cure(
    folder: Path, base: Path, run: Run, line: str, code: int, said: str
) -> None:
    begun(folder, base, run)
    recipe = (folder / "headrace.yaml").read_bytes()
    found, out, err = run(line)
    assert found == code, err
    assert said in err
    assert out == ""
    assert err.startswith("Error: ")
    assert "Traceback" not in err
    assert (folder / "headrace.yaml").read_bytes() == recipe


def test_an_untouched_recipe_serves_a_file_that_is_in_none(folder: Path, base: Path, run: Run) -> None:
    begun(folder, base, run)
    recipe = (folder / "headrace.yaml").read_bytes()
    code, out, err = run("collect --file reviews.csv --text body --label topic --json")
    assert code == 0, err
    assert json.loads(out)["reviews"]["new"] == 3
    assert json.loads(run("clean --json")[1])["examples"] == 3, "its column of labels was read"
    assert (folder / "headrace.yaml").read_bytes() == recipe


def test_with_two_tasks_the_one_meant_must_be_named(folder: Path, base: Path, run: Run) -> None:
    begun(folder, base, run)
    path = folder / "headrace.yaml"
    text = path.read_text(encoding="utf-8").replace("tasks: [intent]", "tasks: [intent, mood]")
    path.write_text(text.replace("tasks:\n", f"tasks:\n  mood: {{base: {base}}}\n", 1), encoding="utf-8")
    code, _, err = run("train")
    assert (code, "Name one: mood, intent" in err) == (2, True)


def test_a_port_in_use_is_named(folder: Path, base: Path, run: Run) -> None:
    begun(folder, base, run)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run(f"serve --port {port}")
    assert (code, f"port {port} is in use" in err, f"--port {port + 1}" in err) == (2, True, True)


def test_a_server_open_to_others_needs_a_key(folder: Path, base: Path, run: Run) -> None:
    begun(folder, base, run)
    code, _, err = run("serve --host 0.0.0.0 --port 0")
    assert (code, "headrace key new" in err) == (2, True)
