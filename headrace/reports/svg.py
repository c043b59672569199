"""A chart -> SVG that can stand inside a page: text kept as text, ids its own, no size, no namespaces."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.errors import MissingExtra

ACCENT, GREY, PALE, INK, SOFT = "#0b6e8f", "#8a949e", "#e4e9ed", "#26323b", "#5b6770"
FONT = "system-ui, 'Segoe UI', Roboto, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"
WIDTH = 400

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": SOFT,
        "gridColor": PALE,
        "domainColor": GREY,
        "tickColor": GREY,
        "labelLimit": 190,
        "titlePadding": 10,
    },
    "axisY": {"domain": False, "ticks": False, "labelPadding": 8},
    "legend": {"labelFontSize": 12, "labelColor": INK, "symbolSize": 80},
    "text": {"color": INK},
    "view": {"stroke": None},
}


def altair() -> Any:
    """The Altair module; MissingExtra where it or its renderer is not installed."""
    try:
        import altair
        import vl_convert
    except ModuleNotFoundError as error:
        raise MissingExtra("A page with plots", "report") from error
    return altair if vl_convert else None


def data(values: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as the data of a chart."""
    return altair().Data(values=[dict(value) for value in values])


def render(chart: Any, name: str, *, width: Any = WIDTH, height: Any = None) -> str:
    """The chart as inline SVG called `name`; sizes are pixels or {"step": pixels of a category}."""
    import vl_convert

    spec = chart.to_dict()
    if "vconcat" not in spec:
        spec |= {"width": width, "height": height}
    return inline(str(vl_convert.vegalite_to_svg({**spec, "config": CONFIG})), name)


def inline(svg: str, name: str) -> str:
    """A whole SVG file as an element of a page, as wide as there is room but no wider than it was drawn.

    Its ids get a prefix of their own, because two plots of one page would otherwise share their clip paths.
    """
    head, _, body = svg.partition(">")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    wide, high = size.groups() if size else (str(WIDTH), "300")
    prefix = f"p{hashlib.sha256(svg.encode()).hexdigest()[:10]}"
    body = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    label = html.escape(name, quote=True)
    box = f'viewBox="0 0 {wide} {high}" style="max-width:{wide}px"'
    return f'<svg class="plot" role="img" aria-label="{label}" {box}>{body}'
