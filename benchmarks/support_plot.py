"""What each rule broke and what it answered alone, over the target: one row a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair
import vl_convert

COLOURS = {"guarantee": "#2f6f8f", "plain threshold": "#c8553d", "raw softmax": "#8a8a8a"}
WIDTH, HEIGHT = 300, 190
TITLES = {
    "broken splits": "% of splits broken",
    "answered alone": "% of messages answered alone",
}


@dataclass(frozen=True)
class Line:
    """One point: a set, a target in percent, a rule, what was measured and its interval."""

    set: str
    target: float
    rule: str
    what: str
    value: float
    interval: tuple[float, float] | None


def draw(lines: Sequence[Line]) -> str:
    """The picture as SVG."""
    names = list(dict.fromkeys(line.set for line in lines))
    rows = [altair.hconcat(*(panel(name, what, lines) for what in TITLES)) for name in names]
    title = altair.TitleParams("The guarantee, beside two other thresholds", anchor="start")
    whole = altair.vconcat(*rows, title=title).configure_view(stroke=None).configure_axis(gridColor="#eeeeee")
    drawn: str = vl_convert.vegalite_to_svg(whole.to_dict())
    return drawn


def panel(name: str, what: str, lines: Sequence[Line]) -> Any:
    """One measure of one set, over the target."""
    seen = [
        {
            "target": f"{line.target:g} %",
            "rule": line.rule,
            "value": line.value,
            "low": (line.interval or (line.value, line.value))[0],
            "high": (line.interval or (line.value, line.value))[1],
        }
        for line in lines
        if (line.set, line.what) == (name, what)
    ]
    base = altair.Chart(altair.InlineData(values=seen)).encode(
        x=altair.X("target:N", sort=None, title="may be wrong", axis=altair.Axis(labelAngle=0)),
        xOffset=altair.XOffset("rule:N", sort=list(COLOURS)),
        color=altair.Color(
            "rule:N",
            title=None,
            scale=altair.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
            legend=altair.Legend(orient="bottom"),
        ),
    )
    bars = base.mark_bar().encode(
        y=altair.Y("value:Q", title=TITLES[what], scale=altair.Scale(domain=[0, 100]))
    )
    spans = base.mark_rule(color="#333333").encode(y="low:Q", y2="high:Q", color=altair.value("#333333"))
    return altair.layer(bars, spans).properties(width=WIDTH, height=HEIGHT, title=name)
