"""Judgements and turns as HTML pages, and what served at a moment. Imports what draws: only verbs load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from headrace.errors import NotFound
from headrace.evaluation.intervals import Estimate
from headrace.flywheel import Judged, PairTurn, Turn
from headrace.project import Project
from headrace.release.history import Served
from headrace.release.history import served as served_at
from headrace.reports.figures import ChannelFigures, JudgedFigures, TurnFigures
from headrace.reports.page import evaluation_page, turn_page
from headrace.reports.status import PairStatus
from headrace.reports.turns import TurnReport


def evaluation(judged: Mapping[str, Judged], at: datetime) -> str:
    """The page of an adapter's judgement; raises MissingExtra without headrace[report]."""
    return evaluation_page([_judged(channel, one) for channel, one in judged.items()], at)


def turn(made: Turn, status: Sequence[PairStatus], began: datetime, ended: datetime) -> str:
    """The page of a turn; raises MissingExtra without headrace[report]."""
    pairs = {(pair.task, pair.channel): pair for pair in status}
    channels = tuple(_channel(one, pairs[one.task, one.channel]) for one in made.pairs)
    judged = tuple(
        JudgedFigures(one.task, one.channel, one.challenger.id, one.after)
        for one in made.pairs
        if one.challenger and one.after
    )
    figures = TurnFigures(made.id, began, (ended - began).total_seconds(), channels, judged=judged)
    return turn_page(figures, report=made.report)


def last_turn(status: Sequence[PairStatus], report: TurnReport | None) -> str:
    """The page of the last turn, with the judgements of what serves now.

    Raises NotFound before the first turn, MissingExtra without headrace[report].
    """
    if report is None:
        raise NotFound("no turn has ended yet.", cure="Run: headrace turn")
    decided = {(one.task, one.channel): one for one in report.decided}
    channels = tuple(
        replace(_served(pair), decision=one.reason, before=one.before, after=one.after or _accuracy(pair))
        for pair in status
        if (one := decided.get((pair.task, pair.channel))) is not None
    )
    judged = tuple(
        JudgedFigures(pair.task, pair.channel, pair.adapter.id, pair.judged)
        for pair in status
        if pair.adapter and pair.judged
    )
    figures = TurnFigures(report.turn, report.started, report.seconds, channels, judged=judged)
    return turn_page(figures, report=report)


def served(project: Project, task: str | None, channel: str | None, at: datetime) -> list[Served]:
    """What served at a moment."""
    return served_at(project.store, task, channel, at)


def _judged(channel: str, one: Judged) -> JudgedFigures:
    return JudgedFigures(one.adapter.task, channel, one.adapter.id, one.judgement)


def _channel(one: PairTurn, pair: PairStatus) -> ChannelFigures:
    return replace(
        _served(pair),
        before=one.before.accuracy if one.before else None,
        after=one.after.accuracy if one.after else None,
        seconds=one.challenger.seconds if one.challenger else 0.0,
        decision=one.message,
    )


def _served(pair: PairStatus) -> ChannelFigures:
    """What came in of a (task, channel), and what serves it."""
    adapter = pair.adapter
    return ChannelFigures(
        pair.task,
        pair.channel,
        rows_in=pair.rows,
        examples=pair.train + pair.test,
        rejected=pair.rejected,
        masked=pair.masked,
        serves="not yet" if adapter is None else "own" if adapter.channel else "shared",
        adapter=adapter.id if adapter else "",
        method=str(adapter.lineage.get("method", "")) if adapter else "",
        seconds=adapter.seconds if adapter else 0.0,
        size_bytes=adapter.size if adapter else 0,
        answers=pair.answers,
        feedback_waiting=pair.feedback_waiting,
    )


def _accuracy(pair: PairStatus) -> Estimate | None:
    return pair.judged.accuracy if pair.judged else None
