"""Accuracy over cpu-seconds: every set-up of ours and every peer, one panel a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair
import vl_convert

from benchmarks.training_peers import Run

COLOURS = {"Headrace": "#2f6f8f", "peer": "#c8553d"}
WIDTH, HEIGHT = 420, 230
BELOW = 8.0
"""Points below the best that are still drawn."""
Points = Mapping[str, Sequence[tuple[str, float, float]]]


def draw(ours: Points, runs: Sequence[Run]) -> str:
    """The picture as SVG; `ours` has (set-up, cpu-seconds, accuracy) of each set."""
    panels = [panel(name, points, [run for run in runs if run.set == name]) for name, points in ours.items()]
    title = "Test accuracy over what training cost, rows to saved adapter"
    whole = altair.vconcat(*panels, title=altair.TitleParams(title, anchor="start"))
    drawn: str = vl_convert.vegalite_to_svg(
        whole.configure_view(stroke=None).configure_axis(gridColor="#eeeeee").to_dict()
    )
    return drawn


def panel(name: str, points: Sequence[tuple[str, float, float]], runs: Sequence[Run]) -> Any:
    """One data set; the cost on a logarithmic scale."""
    seen = [(setup, cpu, right, "Headrace") for setup, cpu, right in points]
    seen += [(run.said, run.cpu_s, run.test, "peer") for run in runs if run.test]
    least = max(right for _, _, right, _ in seen) - BELOW
    far = [f"{said}: {right:.1f} % in {cpu:.0f}" for said, cpu, right, _ in seen if right < least]
    keys = ("name", "cpu", "accuracy", "who")
    near = [dict(zip(keys, row, strict=True)) for row in seen if row[2] >= least]
    across = altair.X("cpu:Q", scale=altair.Scale(type="log", nice=True), title="cpu-seconds")
    up = altair.Y("accuracy:Q", scale=altair.Scale(zero=False, nice=True), title="% right")
    colour = altair.Color(
        "who:N", scale=altair.Scale(domain=list(COLOURS), range=list(COLOURS.values())), title=None
    )
    base = altair.Chart(altair.InlineData(values=near)).encode(x=across, y=up, color=colour)
    marks = base.mark_point(filled=True, size=70, opacity=1)
    said = base.mark_text(align="left", dx=8, fontSize=10).encode(text="name:N")
    below = f"off the scale: {'; '.join(far)}" if far else ""
    return altair.layer(marks, said).properties(
        width=WIDTH,
        height=HEIGHT,
        title=altair.TitleParams(name, subtitle=below, anchor="start", fontSize=12),
    )
