"""Adapters and their reports: compare two, release one, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from headrace.errors import InputError
from headrace.evaluation.judgement import Judgement
from headrace.records import Adapter, Report
from headrace.web.console.screens.history import told
from headrace.web.console.tables import Column, table
from headrace.web.console.visit import Page, Screen, Visit


@dataclass(frozen=True, slots=True)
class Judged:
    """The newest report of an adapter on one channel; `rows` is the digest of the held-out rows."""

    channel: str
    judgement: Judgement
    rows: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An adapter as the list shows it; `serves` names the channels that it answers."""

    adapter: Adapter
    serves: tuple[str, ...]
    judged: tuple[Judged, ...]

    @property
    def accuracy(self) -> float | None:
        """On all held-out rows of its reports together."""
        rows = sum(one.judgement.n for one in self.judged)
        right = sum(one.judgement.accuracy.value * one.judgement.n for one in self.judged if one.judgement.n)
        return right / rows if rows else None

    @property
    def method(self) -> str:
        """How it was trained."""
        return str(self.adapter.lineage.get("method", ""))


COLUMNS: tuple[Column[Shown], ...] = (
    Column("pick"),
    Column("adapter", lambda one: one.adapter.id),
    Column("task", lambda one: (one.adapter.task, one.adapter.channel or "")),
    Column("serves", lambda one: len(one.serves)),
    Column("accuracy", lambda one: one.accuracy, number=True),
    Column("size", lambda one: one.adapter.size, number=True),
    Column("trained", lambda one: one.adapter.at),
)


def show(visit: Visit) -> Response:
    """All adapters, newest first."""
    serving = {(r.task, r.channel): r.adapter for r in visit.project.store.history.serving()}
    found = [_shown(visit, adapter, serving) for adapter in visit.project.adapters()]
    return visit.page("adapters.html", title=visit.say("nav.adapters"), table=table(visit, found, COLUMNS))


def one(visit: Visit) -> Response:
    """One adapter: where it comes from, what it scored, and what may be done with it."""
    adapter = visit.project.adapter(visit.path("id"))
    serving = {(r.task, r.channel): r.adapter for r in visit.project.store.history.serving()}
    lines = [line for line in visit.project.history(task=adapter.task) if line.adapter == adapter.id]
    channels = [adapter.channel] if adapter.channel else visit.project.recipe.channels_of(adapter.task)
    return visit.page(
        "adapter.html",
        title=visit.say("adapter.title", id=adapter.id.removeprefix("adp_")[:8]),
        shown=_shown(visit, adapter, serving),
        lines=lines[::-1][:20],
        told=told(visit, adapter.task),
        channels=channels,
        lineage=_lineage(adapter),
    )


def compare(visit: Visit) -> Response:
    """Two adapters side by side, on the channels that both were judged on."""
    picked = visit.request.query_params.getlist("pick")[:2]
    if len(picked) < 2:
        raise InputError("two adapters are compared.", field="pick", cure="Go back and mark two of them.")
    first, second = (visit.project.adapter(name) for name in picked)
    left, right = (_judged(visit.project.reports(one.id)) for one in (first, second))
    both = [(one, other) for one in left for other in right if one.channel == other.channel]
    return visit.page(
        "compare.html",
        title=visit.say("compare.title"),
        first=first,
        second=second,
        both=both,
        labels=[_moved(one.judgement, other.judgement) for one, other in both],
    )


def release(visit: Visit) -> Response:
    """Pass an adapter through the gate; its sentence stands in the adapter's history."""
    adapter = visit.project.adapter(visit.path("id"))
    channel = visit.form.get("channel", "")
    found = visit.project.release(adapter, [channel] if channel else None)
    released = any(one.released for one in found)
    return visit.go(f"/adapters/{adapter.id}", "released" if released else "refused")


def rollback(visit: Visit) -> Response:
    """Let the adapter before the present one serve a (task, channel) again."""
    task, channel = visit.given("task"), visit.given("channel")
    made = visit.project.rollback(task, channel)
    return visit.go(f"/adapters/{made.adapter}", "rolled_back")


def _shown(visit: Visit, adapter: Adapter, serving: dict[tuple[str, str], str]) -> Shown:
    serves = tuple(c for (t, c), name in serving.items() if name == adapter.id and t == adapter.task)
    return Shown(adapter, serves, _judged(visit.project.reports(adapter.id)))


def _judged(reports: Sequence[Report]) -> tuple[Judged, ...]:
    """The newest report of each channel."""
    newest: dict[str, Report] = {}
    for report in reports:
        newest.setdefault(report.channel, report)
    return tuple(
        Judged(channel, Judgement.from_json(report.figures), str(report.figures.get("rows", "")))
        for channel, report in sorted(newest.items())
    )


def _moved(first: Judgement, second: Judgement, most: int = 8) -> list[tuple[str, float, float]]:
    """The labels whose F1 differs most: label, F1 of the first, F1 of the second."""
    before, after = ({row.label: row.f1 for row in one.classes} for one in (first, second))
    both = [(label, before[label], after[label]) for label in before if label in after]
    moved = [one for one in both if abs(one[1] - one[2]) > 0.0005]
    return sorted(moved, key=lambda one: -abs(one[2] - one[1]))[:most]


def _lineage(adapter: Adapter) -> list[tuple[str, str]]:
    """What it was made from, as plain words."""
    return [
        (name, str(value)) for name, value in adapter.lineage.items() if isinstance(value, str | int | float)
    ]


SCREEN = Screen(
    "adapters",
    [
        Page("/adapters", show),
        Page("/adapters/compare", compare),
        Page("/adapters/rollback", rollback, "POST"),
        Page("/adapters/{id}", one),
        Page("/adapters/{id}/release", release, "POST"),
    ],
)
