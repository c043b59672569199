"""A project that serves, copied for each test that spoils something, and everything that must outlive that."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_project import INTENTS, live_questions, make_project
from sqlalchemy import select

from headrace.project import Project
from headrace.recipe import RECIPE
from headrace.store import Store, tables

Act = Callable[[], object]
State = dict[str, set[str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that serves, with answers, feedback and something in quarantine."""
    folder = tmp_path_factory.mktemp("served") / "p"
    project = make_project(folder)
    project.turn()
    answers = project.predict([q.text for q in live_questions()[:3]], task="intent", channel="desk")
    project.predict([live_questions("forum")[0].text], task="intent", channel="forum")
    project.add_feedback(answers[0].id, "correction", INTENTS[0])
    project.add_rows([{"text": ""}, {"text": "kept as it is"}], channel="desk", task="intent")
    project.clean()
    project.close()
    return folder


@pytest.fixture
def project(served: Path, tmp_path: Path) -> Iterator[Project]:
    """A copy of it for one test."""
    shutil.copytree(served, tmp_path / "p")
    made = Project(tmp_path / "p")
    yield made
    made.close()


def state(project: Project) -> State:
    """Everything that a mistake may not take away: each table's rows, artifacts, recipe."""
    found: State = {"recipe": {(project.folder / RECIPE).read_text("utf-8", "replace")}}
    with Store.open("store.db", project.folder).closing() as store, store.database.read() as connection:
        for table in tables.metadata.sorted_tables:
            if table is tables.steps:  # a counter: its one row is the last number that was given
                continue
            found[table.name] = {repr(tuple(row)) for row in connection.execute(select(table))}
        found["artifacts"] = set(store.artifacts)
    return found


def edited(project: Project, old: str, new: str) -> Project:
    """The project with one thing in its recipe written differently."""
    path = project.folder / RECIPE
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return Project(project.folder)


def source(project: Project, content: bytes, name: str = "desk.jsonl", **options: str) -> Act:
    """Collect from a file that holds `content`."""
    (project.folder / "data" / name).write_bytes(content)
    given = "".join(f", {key}: {value}" for key, value in options.items())
    opened = edited(project, "{path: data/desk.jsonl, split: split}", f"{{path: data/{name}{given}}}")
    return lambda: opened.collect(["desk"])
