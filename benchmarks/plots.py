"""One picture of a benchmark: `python -m benchmarks.plots results/serving.json` writes results/serving.svg.

Each figure that has a target is a bar from its target, the line at 1, to what was measured: right of the line
is better than asked, left of it is short. The scale is logarithmic; the numbers stand beside the bars.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair
import vl_convert

COLOURS = {"reached": "#2f6f8f", "short": "#c8553d"}
WIDTH, STEP = 420, 19
LONGEST = 74  # characters of a name that are shown


def margins(figures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each figure with a target: how many times better it is than asked; below 1 it is short."""
    found = []
    for figure in figures:
        sign, _, bound = (figure["target"] or "").partition(" ")
        value, asked = float(figure["value"]), float(bound or 0)
        if sign not in (">=", "<=") or value <= 0 or asked <= 0:
            continue
        margin = value / asked if sign == ">=" else asked / value
        low, high = figure["interval"] or (value, value)
        ends = [end / asked if sign == ">=" else asked / max(end, 1e-9) for end in (low, high)]
        found.append(
            {
                "name": shortened(figure["name"]),
                "margin": margin,
                "low": max(min(ends), 1e-3),
                "high": max(ends),
                "said": f"{value:.3g} {figure['unit']}  (asked: {sign} {bound})",
                "result": "reached" if margin >= 1 else "short",
            }
        )
    return found


def shortened(name: str) -> str:
    """A name that fits beside a bar; its end says most."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 36]} … {name[-34:]}"


def chart(name: str, document: Mapping[str, Any]) -> Any:
    """The picture of a benchmark's JSON."""
    rows = margins(document["figures"])
    reach = [min(0.5, *(row["low"] for row in rows)), max(2.0, *(row["high"] for row in rows))]
    across = altair.X(
        "margin:Q",
        scale=altair.Scale(type="log", domain=reach),
        title="times better than asked",
        axis=altair.Axis(format="~g", tickCount=6),
    )
    down = altair.Y("name:N", sort=None, title=None, axis=altair.Axis(labelLimit=520))
    colour = altair.Color(
        "result:N",
        scale=altair.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
        legend=None,
    )
    base = altair.Chart(altair.InlineData(values=rows))
    bars = base.mark_bar(height=9).encode(x=across, x2=altair.datum(1), y=down, color=colour)
    spans = base.mark_rule(color="#333333").encode(x="low:Q", x2="high:Q", y=down)
    said = base.mark_text(align="left", baseline="middle", fontSize=11, x=WIDTH + 8).encode(
        y=down, text="said:N", color=colour
    )
    line = altair.Chart().mark_rule(color="#333333", strokeDash=[4, 3]).encode(x=altair.datum(1))
    subtitle = f"{document['processor']}, {str(document['date'])[:10]}"
    title = altair.TitleParams(f"benchmarks.{name}", subtitle=subtitle, anchor="start")
    layers = altair.layer(bars, spans, said, line).properties(
        width=WIDTH,
        height=altair.Step(STEP),
        title=title,
        padding={"right": 260, "left": 8, "top": 8, "bottom": 8},
    )
    return layers.configure_view(stroke=None).configure_axis(grid=False)


def svg(name: str, document: Mapping[str, Any]) -> str:
    """The picture as SVG; raises ValueError where no figure has a target."""
    if not margins(document["figures"]):
        raise ValueError(f"no figure of {name} has a target")
    drawn: str = vl_convert.vegalite_to_svg(chart(name, document).to_dict())
    return drawn


def main(paths: Sequence[str]) -> int:
    """Write a picture beside each JSON file."""
    for path in map(Path, paths):
        target = path.with_suffix(".svg")
        target.write_text(svg(path.stem, json.loads(path.read_text("utf-8"))), "utf-8")
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
