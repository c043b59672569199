"""A project with documents turns: words alone, then an adapter; a correction counts at once and teaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from search_stand import faq, make_search_project, passage, put

from headrace.errors import InputError
from headrace.knowledge.rerank import RERANK_FILE
from headrace.project import Project
from headrace.records import Answer
from headrace.serving.search_adapter import SearchAdapter
from headrace.serving.searcher import Searched, Searcher


def first(found: Searched) -> str:
    return found.found[0].passage.id


def answered(project: Project, text: str, found: Searched) -> str:
    """Store what was found for a question, as a desk does."""
    hit = found.found[0]
    name = project.ids("ans")
    given = (name, "desk", "find", text, hit.passage.id, hit.chance, found.release, found.adapter)
    project.store.answers.add([Answer(*given, project.clock())])
    return name


def test_a_turn_releases_and_corrections_count_at_once(tmp_path: Path) -> None:
    project = make_search_project(tmp_path / "p", faq(120))
    question = "why is my refund late"
    assert project.search(question, "desk").adapter == ""

    turn = project.turn()
    assert {(pair.channel, pair.released) for pair in turn.pairs} == {("desk", True), ("forum", True)}
    (adapter,) = {pair.challenger.id for pair in turn.pairs if pair.challenger}
    found = project.search(question, "desk")
    assert (found.adapter, found.because) == (adapter, None)
    assert found.embedding is not None
    report: Any = project.reports(adapter)[0].figures
    assert report["recall@1"]["n"] == report["n"] > 0
    assert report["recall@3"]["value"] >= report["recall@1"]["value"]
    serving = project.status()[0]
    assert serving.serves is not None
    assert serving.serves.adapter == adapter

    asked = answered(project, question, found)
    wanted = next(p for p in project.store.documents.passages("desk") if p.title and p.id != first(found)).id
    said = project.add_feedback(asked, "correction", wanted)
    for text in (question, "Why is my refund late?"):
        again = project.search(text, "desk")
        assert (first(again), again.because) == (wanted, said.id)
    assert project.search(question, "forum").because is None
    assert project.search("blue shirt size", "desk").because is None
    assert f"adapter {adapter[4:12]}" in project.trace(asked).sentence

    second = project.turn()
    assert second.absorbed.added == 1
    (newer,) = {pair.challenger.id for pair in second.pairs if pair.challenger}
    assert newer != adapter
    project.undo_feedback(said.id)
    assert project.search(question, "desk").because is None
    doubted = project.add_feedback(asked, "correction", wanted, person="eve")
    reached = [project.search(text, "desk").because for text in (question, "Why is my refund late?")]
    assert reached == [doubted.id, None], "one user's unlikely word moves the very question, and no rewording"
    project.undo_feedback(doubted.id)
    likely = replace(doubted, id="fb_likely", chance=0.5, state="counts")
    with project.store.transaction() as connection:
        project.store.feedback.add_in(connection, likely)
    assert project.search("Why is my refund late?", "desk").because == "fb_likely"
    project.close()


def test_a_turn_without_news_trains_nothing_and_few_questions_leave_the_base_as_it_is(tmp_path: Path) -> None:
    project = make_search_project(tmp_path / "p", faq(12))
    turn = project.turn()
    adapter = turn.pairs[0].challenger
    assert adapter is not None
    assert RERANK_FILE in adapter.files
    assert "adapter_config.json" not in adapter.files
    assert "too few for a delta" in adapter.lineage["notes"][0]  # type: ignore[index]
    again = project.turn()
    assert [pair.released for pair in again.pairs] == [False, False]
    assert len(project.adapters("find")) == 1
    project.close()


def test_changed_documents_are_searched_at_once_and_embedded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_search_project(tmp_path / "p", faq(12))
    project.turn()
    searcher = Searcher(project.store, project.recipe)
    searcher.search("red shoe", task="find", channel="desk")
    embedded: list[str] = []
    plain = SearchAdapter.plain

    def watched(self: SearchAdapter, texts: Sequence[str]) -> NDArray[np.float32]:
        embedded.extend(texts)
        return plain(self, texts)

    monkeypatch.setattr(SearchAdapter, "plain", watched)
    again = Searcher(project.store, project.recipe)
    again.search("red shoe", task="find", channel="desk")
    assert embedded == []
    put(project, [passage("new", "where is the green box?", "the green box is lost")])
    assert first(again.search("where is the green box", task="find", channel="desk")) == "new"
    project.store.documents.set_state("doc_new", "gone", project.clock())
    found = again.search("where is the green box", task="find", channel="desk")
    assert "new" not in {hit.passage.id for hit in found.found}
    project.close()


def test_a_task_that_finds_passages_has_no_labels_to_predict(tmp_path: Path) -> None:
    project = make_search_project(tmp_path / "p", faq(4))
    with pytest.raises(InputError, match="headrace search"):
        project.predict(["red shoe"], task="find", channel="desk")
    project.close()


def test_who_is_forgotten_is_in_nothing_that_serves(tmp_path: Path) -> None:
    project = make_search_project(tmp_path / "p", faq(120))
    project.turn()
    (before,) = project.adapters("find")
    asked = {"ann": "why is my refund late", "bob": "when does the red shirt ship"}
    for person, text in asked.items():
        found = project.search(text, "desk")
        wanted = next(p.id for p in project.store.documents.passages("desk") if p.id != first(found))
        project.add_feedback(answered(project, text, found), "correction", wanted, person=person)
    assert project.turn().absorbed.added == 2
    taught = project.search(asked["ann"], "desk")
    assert (taught.adapter != before.id, taught.because is not None) == (True, True)

    forgotten = project.forget("ann")
    assert (forgotten.taught, forgotten.again) == (1, 0)
    assert set(forgotten.fell_back) == {"find/desk", "find/forum"}
    again = project.search(asked["ann"], "desk")
    assert (again.adapter, again.because) == (before.id, None)
    assert project.search(asked["bob"], "desk").because is not None
    project.turn()
    assert taught.adapter not in {release.adapter for release in project.store.history.serving()}
    project.close()


def test_documents_without_questions_are_found_by_meaning_too(tmp_path: Path) -> None:
    project = make_search_project(tmp_path / "p", [replace(one, title="") for one in faq(6)])
    assert all(pair.released for pair in project.turn().pairs)
    found = project.search("why is my refund late", "desk")
    assert found.adapter
    assert all(0 <= hit.meaning < 1 for hit in found.found)
    assert min(hit.meaning for hit in found.found) < 0.9
    project.close()
