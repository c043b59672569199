"""Held-out rows serve so many decisions, then newer ones take their place; golden rows hold a challenger."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_project import make_project, rows

from headrace.project import Project
from headrace.records import Adapter, Clock, Example, IdMaker
from headrace.store.releases import History

pytestmark = pytest.mark.xdist_group("flywheel")


@pytest.fixture
def project(tmp_path: Path, clock: Clock, ids: IdMaker) -> Iterator[Project]:
    """A project whose rows name no split, and whose held-out rows serve two decisions."""
    project = make_project(tmp_path / "p", clock=clock, ids=ids, ready=False)
    path = project.folder / "headrace.yaml"
    path.write_text(path.read_text().replace("gate: {", "gate: {decisions: 2, slice_margin: 100, "))
    project.close()
    project = Project(tmp_path / "p", clock=clock, ids=ids)
    for channel in ("desk", "forum"):
        given = [{"text": row["text"], "label": row["label"]} for row in rows(channel, each=12)]
        project.add_rows(given, channel=channel, task="intent")
    project.clean()
    yield project
    project.close()


def held(project: Project, channel: str = "desk") -> set[str]:
    return {row.id for row in project.store.examples.of("intent", [channel], ["test"])}


def served(project: Project, channel: str = "desk") -> set[int]:
    found = project.store.examples.decisions("intent", [channel])
    return {found.get(row, 0) for row in held(project, channel)}


def another(project: Project, seed: int) -> Adapter:
    return project.train("intent", seed=seed)


def test_a_decision_counts_once_for_each_row_that_it_was_made_by(project: Project) -> None:
    assert served(project) == {0}
    project.turn()
    assert served(project) == {1}
    project.turn()
    assert served(project) == {1}, "nothing was decided"
    project.release(another(project, 11), ["desk"])
    assert (served(project), served(project, "forum")) == ({2}, {1})


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_turn_that_is_killed_counts_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    real = History.add_in

    def cut(self: History, connection: Any, *records: Any) -> None:
        real(self, connection, *records)
        if any(type(record).__name__ == "Release" for record in records):
            raise KeyboardInterrupt

    def finish(*_: object) -> None:
        raise KeyboardInterrupt

    if where == "before":
        monkeypatch.setattr(History, "add_in", cut)
    else:
        monkeypatch.setattr(type(project.flywheel), "_finish", finish)
    with pytest.raises(KeyboardInterrupt):
        project.turn()
    monkeypatch.undo()
    assert served(project) == ({0} if where == "before" else {1})
    project.turn()
    assert served(project) == {1}


def test_rows_that_served_enough_train_and_newer_ones_judge(project: Project) -> None:
    project.turn()
    project.release(another(project, 11))
    old = held(project)
    spent = project.evaluate(another(project, 12), ["desk"])["desk"]
    assert spent.judgement.n == 0
    refused = project.release(another(project, 12), ["desk"])[0]
    assert refused.message.startswith("Not released: there are no held-out rows to compare on; about ")

    fresh = [{"text": row["text"], "label": row["label"]} for row in rows("desk", seed=77, each=20)]
    project.add_rows(fresh, channel="desk", task="intent")
    project.turn()
    now = held(project)
    assert now
    assert not old & now
    assert {e.split for e in project.store.examples.get(sorted(old))} == {"train"}
    assert served(project) <= {0, 1}
    assert any("have served 2 decisions" in line.message for line in project.history())


def test_near_duplicates_leave_together_and_those_of_official_rows_rest(project: Project) -> None:
    store = project.store
    first = store.examples.get(sorted(held(project)))[0]
    near = replace(first, id="row_near", channel="forum", text=f"{first.text} !", same_as=first.id)
    project.add_rows(
        [{"text": "an official question", "label": "rollback", "split": "test"}],
        channel="desk",
        task="intent",
    )
    project.clean()
    whole = next(e for e in store.examples.of("intent", ["desk"], ["test"]) if "official" in e.text)
    beside = replace(whole, id="row_beside", text=f"{whole.text} !", same_as=whole.id)
    with store.transaction() as connection:
        store.examples.add_in(connection, [(near, "near"), (beside, "beside")])
        for _ in range(2):
            store.examples.decided_in(connection, [first.id, whole.id, beside.id])
    case = project.evaluate(project.train("intent"), ["desk"])["desk"].case
    assert whole.id in case.ids
    assert case.served == 2
    assert not {first.id, beside.id} & set(case.ids)
    project.turn()
    splits = {e.id: e.split for e in store.examples.get([first.id, "row_near", whole.id, "row_beside"])}
    assert splits == {first.id: "train", "row_near": "train", whole.id: "test", "row_beside": "test"}


def shuffled(project: Project) -> list[Example]:
    examples = project.store.examples.of("intent", splits=["train"])
    labels = [example.label for example in examples]
    random.Random(1).shuffle(labels)
    return [replace(example, label=label) for example, label in zip(examples, labels, strict=True)]


def test_a_challenger_that_loses_golden_rows_is_refused_and_says_so(project: Project) -> None:
    project.turn()
    texts = [f"{e.text} now" for e in project.store.examples.of("intent", ["desk"], ["train"])[:40]]
    said = project.predict(texts, task="intent", channel="desk")
    golden = [{"text": text, "label": answer.label} for text, answer in zip(texts, said, strict=True)]
    project.add_golden(golden, "intent", "desk")
    spoilt = project.train("intent", examples=shuffled(project))
    results = {pair.channel: pair for pair in project.release(spoilt)}
    assert not results["desk"].released
    assert "golden rows are newly wrong" in results["desk"].message
    assert "golden rows are newly wrong" in results["forum"].message, "it has none and is held to the task's"
    event = next(e for e in project.store.history.events("intent", "desk") if e.kind == "refused")
    checks = event.evidence["checks"]
    assert isinstance(checks, list | tuple)
    assert {c["check"]: c["passed"] for c in checks}["golden"] is False
    assert not any(example.golden for example in project.flywheel._examples("intent", "desk"))
