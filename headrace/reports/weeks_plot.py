"""Judged answers by week, as inline SVG: one panel a (task, channel), audits filled, users' verdicts hollow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.reports.drift import AccuracyDrift
from headrace.reports.messages import say
from headrace.reports.svg import ACCENT, GREY, WIDTH, altair, data, render

MOST = 12
"""Panels at most; the table has all."""


def weeks_plot(found: Sequence[AccuracyDrift], language: str = "en") -> str:
    """The share of judged answers that were right, a point a week with its interval."""
    alt = altair()
    names = list(dict.fromkeys(f"{one.channel} · {one.task}" for one in found))[:MOST]
    kinds = [say(language, f"judges.{name}") for name in ("audits", "feedback")]
    panels = [_panel(name, found, kinds, language) for name in names]
    chart = alt.vconcat(*panels, spacing=18)
    return render(chart, say(language, "weeks"))


def _panel(name: str, found: Sequence[AccuracyDrift], kinds: Sequence[str], language: str) -> Any:
    alt = altair()
    chart = alt.Chart(data(_values(name, found, language)))
    scale = alt.Scale(domain=list(kinds), range=[ACCENT, GREY])
    colour = alt.Color("kind:N", title=None, scale=scale, legend=alt.Legend(orient="top"))
    x = alt.X("week:O", title=None, axis=alt.Axis(labelAngle=-40))
    side = alt.XOffset("kind:N", sort=list(kinds), scale=alt.Scale(padding=0.6))
    axis = alt.Y("value:Q", title=f"{say(language, 'accuracy')}, %", scale=alt.Scale(domain=[0, 100]))
    lines = chart.mark_rule(strokeWidth=3, opacity=0.5).encode(
        x=x, xOffset=side, y=alt.Y("low:Q"), y2="high:Q", color=colour
    )
    hollow = alt.condition(alt.datum.kind == kinds[1], alt.value("white"), alt.value(ACCENT))
    dots = chart.mark_circle(size=70, opacity=1, strokeWidth=2).encode(
        x=x, xOffset=side, y=axis, stroke=alt.Stroke("kind:N", scale=scale, legend=None), fill=hollow
    )
    title = alt.Title(name, anchor="start", fontSize=13)
    return alt.layer(lines, dots).properties(title=title, width=WIDTH - 40, height=150)


def _values(name: str, found: Sequence[AccuracyDrift], language: str) -> list[dict[str, Any]]:
    return [
        {
            "week": f"{week.monday:%m-%d}",
            "kind": say(language, f"judges.{one.judges}"),
            "value": 100 * week.right.value,
            "low": 100 * week.right.low,
            "high": 100 * week.right.high,
        }
        for one in found
        if f"{one.channel} · {one.task}" == name
        for week in one.weeks
    ]
