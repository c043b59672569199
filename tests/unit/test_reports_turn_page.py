"""A turn's page: the report's numbers, nothing that runs, and text as text; reports come back from JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from test_reports_page import HOSTILE, NOW, Seen, channel
from turn_sample import sample

from headrace.reports import turn_grids
from headrace.reports.figures import TurnFigures
from headrace.reports.grids import Grid
from headrace.reports.page import turn_page
from headrace.reports.turns import TurnReport, lines
from headrace.store import TurnState


def page(report: TurnReport, language: str = "en") -> str:
    figures = TurnFigures(report.turn, report.started, report.seconds, (channel("website", "x", 80),))
    return turn_page(figures, language, report=report)


def cells(grid: Grid) -> list[str]:
    found = [cell.split("\n") for row in grid.rows for cell in row]
    return [first + "\n" * bool(rest) + ", ".join(rest) for first, *rest in found]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_holds_the_reports_numbers_and_runs_nothing(language: str) -> None:
    report = sample("website")
    text = page(report, language)
    seen = Seen(text)
    assert not seen.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image"}
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in ("src", "href")]
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    for grid in (
        turn_grids.came_in_grid(report.came_in, language),
        turn_grids.learned_grid(report.learned, language),
        turn_grids.decided_grid(report, language),
        turn_grids.labels_grid(report.inputs[0], language),
        turn_grids.weeks_grid(report.accuracy, language),
    ):
        shown = cells(grid)
        at = seen.cells.index(shown[0])
        assert any(seen.cells[i : i + len(shown)] == shown for i in range(at, len(seen.cells)))
    said = "".join(seen.text)
    told = [one.told(language) for one in report.inputs] + [one.told(language) for one in report.accuracy]
    assert all(sentence in said for sentence in told)
    assert text.count("<svg") == 3, "accuracy, weeks, seconds"


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    seen = Seen(page(sample(HOSTILE)))
    assert seen.tags == Seen(page(sample())).tags
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "src"]
    assert HOSTILE in "".join(seen.text)


def test_a_turn_that_did_nothing_says_so() -> None:
    bare = TurnReport("turn_1", NOW, NOW, 1.0)
    said = "".join(Seen(page(bare)).text)
    assert "Nothing new came in." in said
    assert "No adapter was trained" in said
    assert bare.sentence == "nothing new came in; learned nothing new; no release changed; 1 s."
    assert lines(bare) == []


def test_a_report_comes_back_from_json_and_what_a_later_version_added_is_passed_over() -> None:
    report = sample("website")
    state = json.loads(json.dumps({"report": report.to_json()}))
    assert TurnReport.of(TurnState("turn_1", state, NOW)) == report
    state["report"]["more"] = 1
    assert TurnReport.of(TurnState("turn_1", state, NOW)) == report
    assert TurnReport.of(TurnState("turn_1", {"intent/desk": "Released"}, NOW)) is None
    assert TurnReport.of(TurnState("turn_1", {"report": {"turn": 3}}, NOW)) is None


def test_a_turn_in_one_line() -> None:
    report = sample("website")
    assert report.sentence == (
        "1,200 rows, 58 corrections, 7 other verdicts, 4 held; learned 2 adapters; released 1, refused 1 of 2;"
        " rolled back 1; drift: 3; 95 s."
    )
    quiet = replace(report, decided=tuple(replace(one, outcome="unchanged") for one in report.decided))
    assert lines(quiet)[0] == report.rolled_back[0].sentence
