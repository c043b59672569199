"""Writes the tables of docs/performance.md and docs/releasing.md: `python -m benchmarks.page`.

What stands between `<!-- results: NAME -->` and `<!-- end -->` becomes the table of results/NAME.json, so a
figure in the page is one that a benchmark wrote.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE, RESULTS = HERE.parent / "docs" / "performance.md", HERE / "results"
PAGES = (PAGE, HERE.parent / "docs" / "releasing.md")
_BLOCK = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, results: Path) -> str:
    """The page with each block holding the table of its results; a block without any says so."""
    return _BLOCK.sub(lambda found: f"{found[1]}{_block(results / f'{found[2]}.json')}\n{found[3]}", page)


def table(document: Mapping[str, Any]) -> str:
    """The figures of one results file in Markdown, with the machine, the date and the versions."""
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    lines = [
        "| figure | measured | 95 % interval | n | target | holds |",
        "|---|---|---|---|---|---|",
        *(_line(figure) for figure in document["figures"]),
        "",
        f"{document['processor']}, {document['date'][:10]}; {versions}.",
    ]
    return "\n".join(lines)


def _block(path: Path) -> str:
    if not path.is_file():
        return "Not measured yet."
    return table(json.loads(path.read_text("utf-8")))


def _line(figure: Mapping[str, Any]) -> str:
    interval = figure["interval"]
    span = "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"
    holds = {True: "yes", False: "**no**", None: ""}[figure["holds"]]
    cells = (
        figure["name"],
        f"{figure['value']:.4g} {figure['unit']}",
        span,
        "" if figure["n"] is None else str(figure["n"]),
        figure["target"] or "",
        holds,
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def main() -> int:
    """Write the pages anew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.parse_args()
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8"), RESULTS), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
