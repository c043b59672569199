"""A channel whose recipe says `share: false` teaches the shared adapter nothing, whatever comes in there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_project import INTENTS, make_project

from headrace.flywheel.labels.deriving import Change
from headrace.flywheel.labels.successors import Successors
from headrace.project import Project
from headrace.records import Example

LABELS = st.sampled_from([*INTENTS, "theirs alone"])
TEXTS = st.text(st.sampled_from("abcdefgh 你好"), min_size=3, max_size=30)
SPLITS = st.sampled_from(["train", "validation", "test"])
ORIGINS = st.sampled_from(["source", "feedback", "owner"])
ROWS = st.lists(st.tuples(TEXTS, LABELS, SPLITS, ORIGINS, st.booleans()), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = make_project(tmp_path_factory.mktemp("share") / "p")
    path = made.folder / "headrace.yaml"
    text = path.read_text().replace("forum: {tasks: [intent]", "forum: {share: false, tasks: [intent]")
    path.write_text(text)
    made.close()
    project = Project(made.folder)
    project.train("intent")
    yield project
    project.close()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_the_shared_adapter_never_sees_its_rows(
    project: Project, rows: list[tuple[str, str, str, str, bool]]
) -> None:
    """The same rows are to teach it, so it is the adapter that is there already; a new label has none either."""
    before = project.train("intent")
    made = []
    for text, label, split, origin, golden in rows:
        given = (f"row_{text}", "forum", "intent", text, label, split, origin, project.clock())
        made.append((Example(*given, golden=golden), text))  # type: ignore[arg-type]
    with project.store.transaction() as connection:
        project.store.examples.add_in(connection, made)
    assert project.train("intent").id == before.id
    cache, told = Path("unused"), {"clock": project.clock, "ids": project.ids}
    successors = Successors(project.store, project.recipe, cache, progress=lambda *_: None, **told)  # type: ignore[arg-type]
    serving = [(before, ("desk", "forum"))]
    targets = list(successors._targets(Change("intent", "added", "theirs alone"), serving))
    assert all(target.channel == "forum" for target in targets)
    own = {row.channel for row in successors._rows("intent", "forum")}
    assert own == {"desk", "forum"}
    assert {row.channel for row in successors._rows("intent", None)} == {"desk"}
