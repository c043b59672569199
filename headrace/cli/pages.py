"""Judgements and turns as HTML pages, and what served at a moment. Imports what draws: only verbs load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from headrace.flywheel import Judged, PairTurn, Turn
from headrace.project import Project
from headrace.release.history import Served
from headrace.release.history import served as served_at
from headrace.reports.figures import ChannelFigures, JudgedFigures, TurnFigures
from headrace.reports.page import evaluation_page, turn_page
from headrace.reports.status import PairStatus


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
    return turn_page(TurnFigures(made.id, began, (ended - began).total_seconds(), channels, judged=judged))


def served(project: Project, task: str | None, channel: str | None, at: datetime) -> list[Served]:
    """What served at a moment."""
    return served_at(project.store, task, channel, at)


def _judged(channel: str, one: Judged) -> JudgedFigures:
    return JudgedFigures(one.adapter.task, channel, one.adapter.id, one.judgement)


def _channel(one: PairTurn, pair: PairStatus) -> ChannelFigures:
    adapter = pair.adapter
    method = adapter.lineage.get("method", "") if adapter else ""
    return ChannelFigures(
        one.task,
        one.channel,
        rows_in=pair.rows,
        examples=pair.train + pair.test,
        rejected=pair.rejected,
        masked=pair.masked,
        serves="not yet" if adapter is None else "own" if adapter.channel else "shared",
        adapter=adapter.id if adapter else "",
        method=str(method),
        before=one.before.accuracy if one.before else None,
        after=one.after.accuracy if one.after else None,
        seconds=one.challenger.seconds if one.challenger else 0.0,
        size_bytes=adapter.size if adapter else 0,
        answers=pair.answers,
        feedback_waiting=pair.feedback_waiting,
        decision=one.message,
    )
