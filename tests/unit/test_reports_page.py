"""The page holds the tables' numbers, runs nothing, fetches nothing, and shows text as text."""

from __future__ import annotations

import io
import json
import re
import string
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from headrace.errors import MissingExtra
from headrace.evaluation import Judgement, judge
from headrace.evaluation.intervals import wilson
from headrace.reports import grids, plots
from headrace.reports.figures import (
    ChannelFigures,
    DemoFigures,
    ExampleFigures,
    JudgedFigures,
    MemoryFigures,
    StatusFigures,
    Step,
    TurnFigures,
    to_json,
)
from headrace.reports.messages import CHINESE, ENGLISH
from headrace.reports.page import demo_page, turn_page
from headrace.reports.svg import inline
from headrace.reports.tables import plain, rich_table

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "</text></svg><script>alert(1)</script><img src=x onerror='alert(2)'>&\"'"


class Seen(HTMLParser):
    """The tags, attributes and tables of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.cells: list[str] = []
        self._text: list[str] | None = None
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "td":
            self._text = []
        elif tag == "small" and self._text is not None:
            self._text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "td" and self._text is not None:
            self.cells.append("".join(self._text))
            self._text = None

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._text is not None:
            self._text.append(data)


def judgement(labels: Sequence[str], n: int = 80) -> Judgement:
    draws = np.random.default_rng(0)
    gold = [labels[i] for i in draws.integers(0, len(labels), n)]
    return judge(draws.dirichlet(np.ones(len(labels)), n), gold, labels, seed=0, resamples=20)


def channel(name: str, text: str, after: int) -> ChannelFigures:
    return ChannelFigures(
        task="mood",
        channel=name,
        rows_in=17_400,
        examples=900,
        masked={"phone": 3},
        rejected={"duplicate": 31, "empty": 2, text: 1},
        serves="own",
        adapter="adp_0123456789abcdef",
        method="head",
        before=wilson(70, 100),
        after=wilson(after, 100),
        seconds=12.34,
        size_bytes=64_512,
        decision=f"Released: {text}",
    )


def demo(text: str = "plain", labels: Sequence[str] = ("正面", "负面")) -> DemoFigures:
    """A demo whose every free text is `text`."""
    channels = (channel(f"shop {text}", text, 80), channel("forum", text, 75))
    judged = (JudgedFigures("mood", f"shop {text}", "adp_1", judgement([*labels, text])),)
    steps = (Step(text, 0, 3.2, "mood", "forum"), Step("train", 3.2, 9, text))
    turns = tuple(TurnFigures(str(i), NOW, 12.5, channels, steps, judged, 4213, 0) for i in (1, 2))
    memory = (MemoryFigures(text, 40, 44, 39, 30, 21, 116, 1, 60, 0, 41.0),)
    example = ExampleFigures("mood", text, text, text, text, text, text, text, 40.0)
    return DemoFigures(text, 7, NOW, 300.0, turns, memory, example, text, text, command=text, notes=(text,))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_runs_nothing_and_fetches_nothing(language: str) -> None:
    page = demo_page(demo(), language)
    seen = Seen(page)
    assert not seen.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image"}
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in ("src", "href")]
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", page)
    assert "svg" in seen.tags


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    page = demo_page(demo(HOSTILE, labels=[HOSTILE + "a", HOSTILE + "b"]))
    seen = Seen(page)
    assert seen.tags == Seen(demo_page(demo())).tags
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "src"]
    assert HOSTILE in "".join(seen.text)


def test_two_plots_of_one_page_share_no_ids() -> None:
    whole = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" viewBox="0 0 9 8">'
        '<clipPath id="clip1"/><g clip-path="url(#clip1)">{}</g></svg>'
    )
    one, two = (inline(whole.format(text), "a plot") for text in ("first", "second"))
    ids = [re.findall(r'id="([^"]+)"', svg) for svg in (one, two)]
    assert len(ids[0]) == len(ids[1]) == 1
    assert ids[0] != ids[1]
    assert f"url(#{ids[0][0]})" in one
    assert "http" not in one


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_numbers_of_the_page_are_those_of_the_tables(language: str) -> None:
    figures = demo()
    cells = Seen(demo_page(figures, language)).cells
    shown = [
        grids.channels_grid(figures.turns[-1].channels, language),
        grids.decisions_grid(figures.turns[-1].channels, language),
        grids.memory_grid(figures.memory, language),
        grids.steps_grid(figures.turns[-1].steps, language),
    ]
    for grid in shown:
        expected = [first + "\n" * bool(rest) + ", ".join(rest) for first, *rest in _lines(grid)]
        at = cells.index(expected[0])
        assert any(cells[i : i + len(expected)] == expected for i in range(at, len(cells)))


def _lines(grid: grids.Grid) -> list[list[str]]:
    return [cell.split("\n") for row in grid.rows for cell in row]


def test_chinese_labels_stay_text_in_the_plots() -> None:
    shown = plots.confusion(judgement(["正面", "负面"]), "zh")
    assert "正面" in shown
    assert "正确标签" in shown
    many = plots.confusion(judgement([f"标签{i}" for i in range(20)]), "zh")
    assert re.search(r"标签\d+ → 标签\d+", many)


def test_plots_of_nothing_are_still_plots() -> None:
    empty = judge(np.zeros((0, 2)), [], ["a", "b"], seed=0)
    bare = ChannelFigures("mood", "shop", 0, 0)
    for svg in (
        plots.quality([bare]),
        plots.reliability(empty),
        plots.confusion(empty),
        plots.corrections([]),
        plots.timeline([]),
    ):
        assert svg.startswith("<svg")
    page = turn_page(TurnFigures("1", NOW, 0.0, (bare,)))
    assert "not yet" in page
    assert "<svg" not in page
    assert "<main>" in demo_page(DemoFigures("p", 0, NOW, 0.0, ()))


def test_without_the_extra_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(MissingExtra, match=r"headrace\[report\]"):
        demo_page(demo())


def test_a_terminal_of_80_columns_breaks_no_number() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(rich_table(grids.channels_grid(demo().turns[0].channels)))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for figure in ("17,400", "70.0 %", "80.0 %", "60.4–78.1", "12.3", "01234567", "63", "34"):
        assert figure in text


def test_masked_details_and_reasons_are_named_in_the_readers_language() -> None:
    english = grids.channels_grid(demo().turns[0].channels)
    chinese = grids.channels_grid(demo().turns[0].channels, "zh")
    assert english.note.endswith("Private details masked: phone 6.")
    assert chinese.note.endswith("已遮盖的隐私信息：电话 6。")
    assert [grid.rows[0][2].split("\n")[1] for grid in (english, chinese)] == ["duplicate 31", "重复 31"]


def test_markup_in_a_cell_is_not_obeyed_by_the_terminal() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rich_table(grids.decisions_grid([channel("shop", "[red]x[/red]", 80)])))
    assert "[red]x[/red]" in console.export_text()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_plain_text_keeps_columns_apart(language: str) -> None:
    one = StatusFigures("mood", "shop", 12, 10, 2, "shared", "adp_abcdef1234", wilson(9, 10), 3)
    none = StatusFigures("mood", "forum", 0, 0, 0, "not yet", "", None, 0)
    grid = grids.status_grid([one, none], language)
    head, _, first, second = plain(grid).splitlines()[1:5]
    assert "90.0 % (59.6–98.2)" in first
    assert "abcdef12" in first
    assert grids.NOTHING in second
    assert all(column.head in head for column in grid.columns)


def test_json_carries_the_same_figures() -> None:
    found = json.loads(json.dumps(to_json(demo())))
    last = found["turns"][-1]["channels"][0]
    assert last["after"] == wilson(80, 100).to_json()
    assert last["rejected"]["duplicate"] == 31
    assert found["at"] == NOW.isoformat()
    assert Judgement.from_json(found["turns"][0]["judged"][0]["judgement"]).n == 80


def test_both_languages_say_everything_with_the_same_figures() -> None:
    def figures(sentence: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}

    assert {key: figures(text) for key, text in ENGLISH.items()} == {
        key: figures(text) for key, text in CHINESE.items()
    }
    assert [key for key, text in CHINESE.items() if text.isascii()] == ["kilobytes"]
