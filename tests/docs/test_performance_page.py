"""The pages with measured tables say what the result files say."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.page import PAGES, RESULTS, filled, table


def test_the_pages_hold_the_figures_of_the_results() -> None:
    for path in PAGES:
        page = path.read_text("utf-8")
        assert filled(page, RESULTS) == page, "run: python -m benchmarks.page"


def test_a_missed_target_is_said_to_be_missed(tmp_path: Path) -> None:
    figure = {
        "name": "swap",
        "value": 61.26,
        "unit": "ms",
        "interval": [58.0, 70.0],
        "n": 9,
        "target": "at most 50",
        "holds": False,
    }
    document = {"versions": {"python": "3.11"}, "processor": "any", "date": "2026-01-01", "figures": [figure]}
    (tmp_path / "one.json").write_text(json.dumps(document), "utf-8")
    page = filled("<!-- results: one -->\nstale\n<!-- end --> <!-- results: two -->\n<!-- end -->", tmp_path)
    assert "| swap | 61.26 ms | 58 to 70 | 9 | at most 50 | **no** |" in page
    assert "stale" not in page
    assert page.count("Not measured yet.") == 1
    assert "any, 2026-01-01; python 3.11." in table(document)
