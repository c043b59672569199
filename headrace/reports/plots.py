"""Plots as SVG: each a function from figures to a string that can stand in a page, text kept as text.

Drawn by Altair and vl-convert, without a network and without scripts. One accent colour against greys, so
nothing is told apart by hue alone.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.errors import MissingExtra
from headrace.evaluation.intervals import Estimate, wilson
from headrace.evaluation.judgement import Confused, Judgement
from headrace.reports.figures import ChannelFigures, MemoryFigures, Step
from headrace.reports.grids import percent, step_name
from headrace.reports.messages import say

ACCENT, GREY, PALE, INK = "#0b6e8f", "#8a949e", "#e4e9ed", "#26323b"
FONT = "system-ui, 'Segoe UI', Roboto, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
WIDTH = 400
MOST_LABELS = 12


def quality(channels: Sequence[ChannelFigures], language: str = "en") -> str:
    """Accuracy before (hollow, grey) and after (filled) of each (task, channel), with intervals."""
    before, after = say(language, "before"), say(language, "after")
    values = [
        {"pair": f"{one.channel} · {one.task}", "when": when, **_points(found)}
        for one in channels
        for when, found in ((before, one.before), (after, one.after))
        if found is not None and found.n
    ]
    alt = _altair()
    low = min((value["low"] for value in values), default=0.0)
    x = alt.X(
        "value:Q", title=f"{say(language, 'accuracy')}, %", scale=alt.Scale(domain=[max(0.0, low - 1), 100])
    )
    y = alt.Y("pair:N", title=None, sort=None)
    when = alt.Scale(domain=[before, after], range=[GREY, ACCENT])
    shared = {
        "y": y,
        "yOffset": alt.YOffset("when:N", sort=[before, after], scale=alt.Scale(padding=1)),
        "color": alt.Color("when:N", title=None, scale=when, legend=alt.Legend(orient="top")),
    }
    chart = alt.Chart(_data(values))
    lines = chart.mark_rule(strokeWidth=3, opacity=0.45).encode(x=alt.X("low:Q"), x2="high:Q", **shared)
    shape = alt.Scale(domain=[before, after], range=["stroke", "circle"])
    dots = chart.mark_point(size=80, filled=True).encode(
        x=x, shape=alt.Shape("when:N", title=None, scale=shape), **shared
    )
    text = chart.mark_text(align="left", dx=8, dy=-8, fontSize=12).encode(
        x="value:Q", text="shown:N", **shared
    )
    return _svg(alt.layer(lines, dots, text), height={"step": 30}, name=say(language, "quality"))


def reliability(judgement: Judgement, language: str = "en") -> str:
    """Accuracy over confidence by bin, with intervals, against the diagonal; larger points have more rows."""
    values = [
        {"x": 100 * row.confidence, "n": row.accuracy.n, **_points(row.accuracy)}
        for row in judgement.reliability
    ]
    alt = _altair()
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("x:Q", title=f"{say(language, 'confidence')}, %", scale=scale)
    y = alt.Y("value:Q", title=f"{say(language, 'accuracy')}, %", scale=scale)
    diagonal = (
        alt.Chart(_data([{"x": 0, "value": 0}, {"x": 100, "value": 100}]))
        .mark_line(color=GREY, strokeDash=[4, 4], strokeWidth=1.5)
        .encode(x=x, y=y)
    )
    chart = alt.Chart(_data(values))
    bars = chart.mark_rule(color=ACCENT, strokeWidth=2, opacity=0.45).encode(
        x=x, y=alt.Y("low:Q"), y2="high:Q"
    )
    size = alt.Size("n:Q", title=say(language, "count"), scale=alt.Scale(range=[30, 260]), legend=None)
    dots = chart.mark_circle(color=ACCENT, opacity=1).encode(x=x, y=y, size=size)
    return _svg(alt.layer(diagonal, bars, dots), width=320, height=320, name=say(language, "reliability"))


def confusion(judgement: Judgement, language: str = "en") -> str:
    """The confusion matrix of up to twelve labels; of more, the most frequent wrong answers as bars."""
    labels = [row.label for row in judgement.classes if row.support or row.answered]
    if len(labels) > MOST_LABELS:
        return _confusion_bars(judgement.confusions(MOST_LABELS), language)
    return _confusion_matrix(judgement, labels, language)


def corrections(memory: Sequence[MemoryFigures], language: str = "en") -> str:
    """What corrections changed, in percent of each group of questions, a panel a channel."""
    values = [
        {"channel": one.channel, "group": say(language, key), **_points(wilson(part, whole))}
        for one in memory
        for key, part, whole in (
            ("corrected", one.changed_corrected, one.corrected),
            ("rewordings", one.changed_rewordings, one.rewordings),
            ("untouched", one.changed_untouched, one.untouched),
            ("other", one.changed_other_channel, one.other_channel),
        )
        if whole
    ]
    alt = _altair()
    intended = [say(language, "corrected"), say(language, "rewordings")]
    x = alt.X("value:Q", title=f"{say(language, 'share.changed')}, %", scale=alt.Scale(domain=[0, 100]))
    y = alt.Y("group:N", title=None, sort=None)
    colour = alt.condition(alt.FieldOneOfPredicate("group", intended), alt.value(ACCENT), alt.value(GREY))
    chart = alt.Chart()
    bars = chart.mark_bar(height=14, cornerRadiusEnd=2).encode(x=x, y=y, color=colour)
    lines = chart.mark_rule(color=INK, strokeWidth=1).encode(x=alt.X("low:Q"), x2="high:Q", y=y)
    text = chart.mark_text(align="left", dx=6, dy=-9, fontSize=11).encode(x="value:Q", y=y, text="shown:N")
    panel = alt.layer(bars, lines, text).properties(width=WIDTH - 60, height={"step": 28})
    head = alt.Row("channel:N", title=None, sort=None, header=alt.Header(labelAngle=0, labelOrient="top"))
    faceted = panel.facet(row=head, data=_data(values)).resolve_scale(y="independent")
    return _svg(faceted, name=say(language, "memory"))


def timeline(steps: Sequence[Step], language: str = "en") -> str:
    """The steps of a turn as bars over its seconds."""
    values: list[dict[str, Any]] = [
        {
            "step": f"{i + 1}. {step_name(step)}",
            "start": step.start,
            "end": step.start + step.seconds,
            "shown": f"{step.seconds:.1f} s",
        }
        for i, step in enumerate(steps)
    ]
    alt = _altair()
    chart = alt.Chart(_data(values))
    y = alt.Y("step:N", title=None, sort=None)
    last = max((value["end"] for value in values), default=1.0) or 1.0
    x = alt.X("start:Q", title=say(language, "seconds"), scale=alt.Scale(domain=[0, 1.12 * last], nice=False))
    bars = chart.mark_bar(height=12, color=ACCENT, cornerRadius=2).encode(x=x, x2="end:Q", y=y)
    text = chart.mark_text(align="left", dx=5, fontSize=11).encode(x="end:Q", y=y, text="shown:N")
    return _svg(alt.layer(bars, text), height={"step": 22}, name=say(language, "timeline"))


def _confusion_matrix(judgement: Judgement, labels: Sequence[str], language: str) -> str:
    held = {row.label: max(1, row.support) for row in judgement.classes}
    values = [
        {
            "gold": cell.gold,
            "answered": cell.answered,
            "count": cell.count,
            "part": cell.count / held[cell.gold],
        }
        for cell in judgement.confusion
    ]
    alt = _altair()
    chart = alt.Chart(_data(values))
    x = alt.X(
        "answered:N",
        title=say(language, "answered"),
        scale=alt.Scale(domain=list(labels)),
        axis=alt.Axis(orient="top", labelAngle=-40 if len(labels) > 3 else 0),
    )
    y = alt.Y("gold:N", title=say(language, "right"), scale=alt.Scale(domain=list(labels)))
    blues = alt.Scale(domain=[0, 1], range=[PALE, ACCENT])
    cells = chart.mark_rect(cornerRadius=2).encode(
        x=x, y=y, color=alt.Color("part:Q", scale=blues, legend=None)
    )
    ink = alt.condition(alt.datum.part > 0.55, alt.value("white"), alt.value(INK))
    text = chart.mark_text(fontSize=12).encode(x=x, y=y, text="count:Q", color=ink)
    side = 34 if len(labels) > 4 else 70
    layers = alt.layer(cells, text)
    return _svg(layers, width={"step": side}, height={"step": side}, name=say(language, "confusion"))


def _confusion_bars(confusions: Sequence[Confused], language: str) -> str:
    values = [{"pair": f"{one.gold} → {one.answered}", "count": one.count} for one in confusions]
    alt = _altair()
    chart = alt.Chart(_data(values))
    y = alt.Y("pair:N", title=None, sort=None, axis=alt.Axis(labelLimit=300))
    x = alt.X("count:Q", title=say(language, "count"), axis=alt.Axis(tickMinStep=1))
    bars = chart.mark_bar(height=12, color=ACCENT, cornerRadiusEnd=2).encode(x=x, y=y)
    text = chart.mark_text(align="left", dx=5, fontSize=11).encode(x="count:Q", y=y, text="count:Q")
    width = WIDTH - 160
    return _svg(alt.layer(bars, text), width=width, height={"step": 22}, name=say(language, "confusion"))


def _points(found: Estimate) -> dict[str, Any]:
    """An estimate in percent, as a plot's datum."""
    return {
        "value": 100 * found.value,
        "low": 100 * found.low,
        "high": 100 * found.high,
        "shown": percent(found.value),
    }


def _altair() -> Any:
    try:
        import altair
        import vl_convert  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("A page with plots", "report") from error
    return altair


def _data(values: Sequence[Mapping[str, Any]]) -> Any:
    return _altair().Data(values=[dict(value) for value in values])


def _svg(chart: Any, *, name: str, width: Any = WIDTH, height: Any = None) -> str:
    """Render; then make it fit to stand inline: own size and namespaces go, ids become this plot's own."""
    import vl_convert

    spec = chart.to_dict()
    if "facet" not in spec:
        spec |= {"width": width, "height": height}
    spec["config"] = _CONFIG
    svg = str(vl_convert.vegalite_to_svg(spec))
    return _inline(svg, name)


def _inline(svg: str, name: str) -> str:
    head, _, body = svg.partition(">")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    box = size.group(0) if size else 'viewBox="0 0 400 300"'
    wide = size.group(1) if size else "400"
    prefix = re.sub(r"\W", "", name)[:12] + format(sum(body.encode()) % 99991, "x")
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    label = html.escape(name, quote=True)
    return f'<svg class="plot" role="img" aria-label="{label}" {box} style="max-width:{wide}px">{body}'


_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": "#5b6770",
        "gridColor": PALE,
        "domainColor": GREY,
        "tickColor": GREY,
        "labelLimit": 190,
        "titlePadding": 10,
    },
    "axisY": {"domain": False, "ticks": False, "labelPadding": 8},
    "legend": {"labelFontSize": 12, "labelColor": INK, "symbolSize": 80},
    "header": {"labelFontSize": 13, "labelColor": INK, "labelFontWeight": "bold", "labelAnchor": "start"},
    "text": {"color": INK},
    "view": {"stroke": None},
}
