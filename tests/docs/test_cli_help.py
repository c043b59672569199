"""docs/cli.md is what the verbs say, and every verb shows an example that can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from headrace.cli import app
from headrace.cli.reference import leaves, reference, split

ROOT = Path(__file__).parents[2]
TREE: Any = typer.main.get_command(app)
VERBS = dict(leaves(TREE))
EXAMPLES = [(path, line) for path, command in VERBS.items() for line in split(command.help)[1]]


def test_the_page_is_what_the_verbs_say() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == reference(), "Run: python -m headrace.cli.reference > docs/cli.md"


def test_every_verb_of_the_project_is_there() -> None:
    wanted = (
        "init, channel add, channel list, channel remove, key new, key list, key revoke, collect, clean,"
        " quarantine list, quarantine restore, golden add, golden list, golden remove, label add, label rename,"
        " label merge, train, evaluate, release, trial list, trial show, trial stop, audit list, audit label,"
        " serve, lm, predict, search, feedback add, feedback list, feedback undo, feedback accept,"
        " feedback reject, turn, status, trace, rollback, history, forget, backup, restore, doctor, demo,"
        " console, user add, user list, user disable, user password,"
        " knowledge sync, knowledge list, knowledge show, knowledge add, knowledge publish, knowledge flag,"
        " knowledge remove, knowledge gaps,"
        " support ask, support tickets, support take, support answer, support check, support standing,"
        " support secret,"
        " webhook secret, webhook list, webhook retry, expect add, expect list, expect remove, expect check,"
        " retention apply"
    )
    assert {" ".join(path[1:]) for path in VERBS} == set(wanted.split(", "))


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_a_verb_has_a_summary_of_one_line_and_an_example_of_itself(path: tuple[str, ...]) -> None:
    told, example = split(VERBS[path].help)
    summary = told.splitlines()[0]
    assert summary.endswith(".")
    assert len(summary) <= 72
    assert example
    assert all(line.startswith(" ".join(path)) for line in example)
    assert all(param.help for param in VERBS[path].params)


@pytest.mark.parametrize(("path", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_is_understood(path: tuple[str, ...], line: str) -> None:
    from headrace.cli.group import hoisted

    command, words = VERBS[path], [w for w in hoisted(shlex.split(line)[1:]) if w not in path[1:]]
    front = 2 if words[:1] == ["--project"] else 0
    given = [word for word in words[front:] if "." not in word or not word.endswith((".csv", ".txt", ".tar"))]
    made = command.make_context(path[-1], given, resilient_parsing=True)
    assert made.info_name == path[-1]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    assert {word for word in given if word.startswith("-")} <= known


LISTS = (
    "list",
    "status",
    "trace",
    "history",
    "evaluate",
    "turn",
    "collect",
    "clean",
    "predict",
    "doctor",
    "train",
    "release",
)


@pytest.mark.parametrize("path", [p for p in VERBS if p[-1] in LISTS], ids=" ".join)
def test_what_a_script_would_read_has_json(path: tuple[str, ...]) -> None:
    assert "--json" in {option for param in VERBS[path].params for option in param.opts}
