"""Plots: each a function from figures to inline SVG, drawn by Altair without a network and without scripts.

One accent colour against greys, and shape or place beside it, so nothing is told apart by hue alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.evaluation.intervals import Estimate, wilson
from headrace.evaluation.judgement import Confused, Judgement
from headrace.reports.figures import ChannelFigures, MemoryFigures, Step
from headrace.reports.grids import percent, step_name
from headrace.reports.messages import say
from headrace.reports.svg import ACCENT, GREY, INK, PALE, WIDTH, altair, data, render

MOST_LABELS = 12
PERCENT: Mapping[str, Any] = {"domain": [0, 100]}


def quality(channels: Sequence[ChannelFigures], language: str = "en") -> str:
    """Accuracy before (hollow, grey) and after (filled) of each (task, channel), with intervals."""
    alt = altair()
    before, after = say(language, "before"), say(language, "after")
    values: list[dict[str, Any]] = [
        {"pair": f"{one.channel} · {one.task}", "when": when, **_points(found)}
        for one in channels
        for when, found in ((before, one.before), (after, one.after))
        if found is not None and found.n
    ]
    lowest = min((value["low"] for value in values), default=0.0)
    scale = {"domain": [max(0.0, 10 * (lowest // 10)), 100], "nice": False}
    place = {
        "y": _names("pair"),
        "yOffset": alt.YOffset("when:N", sort=[before, after], scale=alt.Scale(padding=1)),
    }
    colours = alt.Scale(domain=[before, after], range=[GREY, ACCENT])
    colour = alt.Color("when:N", title=None, scale=colours, legend=alt.Legend(orient="top"))
    hollow = alt.condition(alt.datum.when == before, alt.value("white"), alt.value(ACCENT))
    chart = alt.Chart(data(values))
    x = _number("value", f"{say(language, 'accuracy')}, %", scale)
    lines = chart.mark_rule(strokeWidth=3, opacity=0.5).encode(
        x=_number("low", scale=scale), x2="high:Q", color=colour, **place
    )
    dots = chart.mark_circle(size=75, opacity=1, strokeWidth=2).encode(
        x=x, stroke=alt.Stroke("when:N", scale=colours, legend=None), fill=hollow, **place
    )
    text = chart.mark_text(align="center", dy=-11, fontSize=11).encode(x=x, text="shown:N", **place)
    return render(alt.layer(lines, dots, text), say(language, "quality"), height={"step": 30})


def reliability(judgement: Judgement, language: str = "en") -> str:
    """Accuracy over confidence by bin, with intervals, against the diagonal; larger points have more rows."""
    alt = altair()
    values = [
        {"x": 100 * row.confidence, "n": row.accuracy.n, **_points(row.accuracy)}
        for row in judgement.reliability
    ]
    scale, axis = alt.Scale(**PERCENT), alt.Axis(tickCount=5)
    x = alt.X("x:Q", title=f"{say(language, 'confidence')}, %", scale=scale, axis=axis)
    y = alt.Y("value:Q", title=f"{say(language, 'accuracy')}, %", scale=scale, axis=axis)
    ends = alt.Chart(data([{"x": 0, "value": 0}, {"x": 100, "value": 100}]))
    diagonal = ends.mark_line(color=GREY, strokeDash=[4, 4], strokeWidth=1.5).encode(x=x, y=y)
    chart = alt.Chart(data(values))
    bars = chart.mark_rule(color=ACCENT, strokeWidth=2, opacity=0.4).encode(
        x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q"
    )
    size = alt.Size("n:Q", scale=alt.Scale(range=[30, 260]), legend=None)
    dots = chart.mark_circle(color=ACCENT, opacity=1).encode(x=x, y=y, size=size)
    name = say(language, "reliability")
    return render(alt.layer(diagonal, bars, dots), name, width=320, height=320)


def confusion(judgement: Judgement, language: str = "en") -> str:
    """The confusion matrix of up to twelve labels; of more, the most frequent wrong answers as bars."""
    labels = [row.label for row in judgement.classes if row.support or row.answered]
    if len(labels) > MOST_LABELS:
        return _confusion_bars(judgement.confusions(MOST_LABELS), language)
    return _confusion_matrix(judgement, labels, language)


def corrections(memory: Sequence[MemoryFigures], language: str = "en") -> str:
    """What corrections changed, in percent of each group of questions, a panel a channel."""
    panels = [_corrections_of(one, language) for one in memory]
    return render(altair().vconcat(*panels, spacing=18), say(language, "memory"))


def timeline(steps: Sequence[Step], language: str = "en") -> str:
    """The steps of a turn as bars over its seconds."""
    alt = altair()
    values = [
        {
            "step": f"{i}. {step_name(step)}",
            "start": step.start,
            "end": step.start + step.seconds,
            "shown": f"{step.seconds:.1f} s",
        }
        for i, step in enumerate(steps, 1)
    ]
    last = max((step.start + step.seconds for step in steps), default=0.0) or 1.0
    scale = {"domain": [0, 1.12 * last], "nice": False}
    y = _names("step")
    chart = alt.Chart(data(values))
    bars = chart.mark_bar(height=12, color=ACCENT, cornerRadius=2).encode(
        x=_number("start", say(language, "seconds"), scale), x2="end:Q", y=y
    )
    text = chart.mark_text(align="left", dx=5, fontSize=11).encode(x=_number("end"), y=y, text="shown:N")
    return render(alt.layer(bars, text), say(language, "timeline"), height={"step": 22})


def _corrections_of(one: MemoryFigures, language: str) -> Any:
    alt = altair()
    groups = (
        ("corrected", one.changed_corrected, one.corrected, True),
        ("rewordings", one.changed_rewordings, one.rewordings, True),
        ("untouched", one.changed_untouched, one.untouched, False),
        ("other", one.changed_other_channel, one.other_channel, False),
    )
    values = [
        {"group": say(language, key), "meant": meant, **_points(wilson(part, whole))}
        for key, part, whole, meant in groups
        if whole
    ]
    x = _number("value", f"{say(language, 'share.changed')}, %", PERCENT).axis(tickCount=5)
    y = _names("group").axis(minExtent=170)
    shade = alt.condition(alt.datum.meant, alt.value(ACCENT), alt.value(GREY))
    chart = alt.Chart(data(values))
    bars = chart.mark_bar(height=13, cornerRadiusEnd=2).encode(x=x, y=y, color=shade)
    lines = chart.mark_rule(color=INK, opacity=0.6).encode(x=_number("low", scale=PERCENT), x2="high:Q", y=y)
    text = chart.mark_text(align="left", dx=6, fontSize=11).encode(x=_number("high"), y=y, text="shown:N")
    title = alt.Title(one.channel, anchor="start", fontSize=13, color=INK)
    return alt.layer(bars, lines, text).properties(title=title, width=WIDTH - 80, height={"step": 24})


def _confusion_matrix(judgement: Judgement, labels: Sequence[str], language: str) -> str:
    alt = altair()
    held = {row.label: max(1, row.support) for row in judgement.classes}
    values = [
        {"gold": one.gold, "answered": one.answered, "count": one.count, "part": one.count / held[one.gold]}
        for one in judgement.confusion
    ]
    order = alt.Scale(domain=list(labels))
    top = alt.Axis(orient="top", labelAngle=-40 if len(labels) > 3 else 0)
    x = alt.X("answered:N", title=say(language, "answered"), scale=order, axis=top)
    y = alt.Y("gold:N", title=say(language, "right"), scale=order)
    shade = alt.Color("part:Q", scale=alt.Scale(domain=[0, 1], range=[PALE, ACCENT]), legend=None)
    ink = alt.condition(alt.datum.part > 0.55, alt.value("white"), alt.value(INK))
    chart = alt.Chart(data(values))
    cells = chart.mark_rect(cornerRadius=2).encode(x=x, y=y, color=shade)
    text = chart.mark_text(fontSize=12).encode(x=x, y=y, text="count:Q", color=ink)
    step = {"step": 34 if len(labels) > 4 else 70}
    return render(alt.layer(cells, text), say(language, "confusion"), width=step, height=step)


def _confusion_bars(confusions: Sequence[Confused], language: str) -> str:
    alt = altair()
    values: list[dict[str, Any]] = [
        {"pair": f"{one.gold} → {one.answered}", "count": one.count} for one in confusions
    ]
    y = alt.Y("pair:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))
    whole = alt.Axis(tickMinStep=1, format="d", tickCount=max(1, min(6, values[0]["count"])))
    x = alt.X("count:Q", title=say(language, "count"), axis=whole)
    chart = alt.Chart(data(values))
    bars = chart.mark_bar(height=12, color=ACCENT, cornerRadiusEnd=2).encode(x=x, y=y)
    text = chart.mark_text(align="left", dx=5, fontSize=11).encode(x=x, y=y, text="count:Q")
    width, height = WIDTH - 180, {"step": 22}
    return render(alt.layer(bars, text), say(language, "confusion"), width=width, height=height)


def _points(found: Estimate) -> dict[str, Any]:
    """An estimate in percent, as a plot's datum."""
    return {
        "value": 100 * found.value,
        "low": 100 * found.low,
        "high": 100 * found.high,
        "shown": percent(found.value),
    }


def _names(field: str) -> Any:
    """A category down the side, in the order of the data."""
    return altair().Y(f"{field}:N", title=None, sort=None)


def _number(field: str, title: str | None = None, scale: Mapping[str, Any] | None = None) -> Any:
    """A number along the bottom; without a title and scale it follows the layer that has them."""
    alt = altair()
    more = {} if scale is None else {"scale": alt.Scale(**scale)}
    return alt.X(f"{field}:Q", **more) if title is None else alt.X(f"{field}:Q", title=title, **more)
