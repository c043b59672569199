"""The next shared adapter begins from the one that serves, where little has come in and it saves something."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_project import make_project, rows

from headrace.flywheel.training import beginning
from headrace.models.delta import CONFIG_FILE
from headrace.project import Project
from headrace.records import Adapter
from headrace.tuning import learning

pytestmark = pytest.mark.xdist_group("flywheel")
LORA = "train: {method: lora, options: {layers: 1, epochs: 2, batch: 16, modules: qv}, own_adapters: false}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(beginning, "CLIMBS", 60)
    made = make_project(tmp_path / "p")
    path = made.folder / "headrace.yaml"
    path.write_text(path.read_text().replace("train: {method: head}", LORA))
    made.close()
    project = Project(made.folder)
    project.turn()
    yield project
    project.close()


def more(project: Project, count: int, seed: int) -> None:
    """Rows that nobody has seen."""
    texts = [(f"{row['text']} {seed}{i}", row["label"]) for i, row in enumerate(rows("desk", seed=seed))]
    new = [{"text": text, "label": label, "split": "train"} for text, label in texts]
    project.add_rows(new[:count], channel="desk", task="intent")


def newest(project: Project) -> Adapter:
    return project.store.history.adapters("intent", "")[0]


def test_little_news_refits_the_head_and_keeps_the_delta(project: Project, tmp_path: Path) -> None:
    first = newest(project)
    assert CONFIG_FILE in first.files
    more(project, 4, seed=11)
    shutil.copytree(project.folder, tmp_path / "twin")
    twin = Project(tmp_path / "twin")
    for one in (project, twin):
        one.turn()
    second = newest(project)
    assert (second.parent, second.lineage["again"], second.lineage["whole"]) == (first.id, True, first.id)
    assert second.files[CONFIG_FILE] == first.files[CONFIG_FILE]
    assert second.files["head.safetensors"] != first.files["head.safetensors"]
    assert newest(twin).files == second.files, "the same start and rows give the same bytes"
    twin.close()
    more(project, 8, seed=11)
    project.turn()
    assert newest(project).parent == first.id, "never from one that was fitted again"
    third = newest(project)
    project.turn()
    assert newest(project).id == third.id, "without news it is the one that serves"


def test_much_news_trains_from_scratch(project: Project) -> None:
    first = newest(project)
    more(project, 40, seed=12)
    project.turn()
    second = newest(project)
    assert second.id != first.id
    assert (second.parent, "again" in second.lineage) == (None, False)


def test_where_validation_prefers_what_serves_it_is_trained_from_scratch(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "_worse", lambda *_: True)
    more(project, 4, seed=13)
    project.turn()
    assert newest(project).lineage["again"] is False
    assert newest(project).lineage["method"] == "lora"


def test_a_label_joins_an_adapter_with_a_delta_which_stays(project: Project) -> None:
    first = newest(project)
    found = project.add_label("intent", "zoo", [f"is zebra {i} there" for i in range(10)], channel="desk")
    assert {pair.released for pair in found.pairs} == {True}
    second = newest(project)
    assert (second.parent, second.files[CONFIG_FILE]) == (first.id, first.files[CONFIG_FILE])
    assert project.predict(["where is the zebra"], task="intent", channel="forum")[0].label == "zoo"
