"""The past: releases, refusals, rollbacks and events, newest first."""

from __future__ import annotations

from starlette.responses import Response

from headrace.records import Event, Release
from headrace.release.history import Line
from headrace.release.sentences import LANGUAGES, explain
from headrace.web.console.tables import Column, table
from headrace.web.console.visit import Page, Screen, Visit

MOST = 200
COLUMNS: tuple[Column[Line], ...] = (
    Column("at", lambda one: one.at),
    Column("what", lambda one: one.kind),
    Column("channel", lambda one: (one.channel or "", one.task or "")),
    Column("message"),
)


def told(visit: Visit, task: str | None = None, channel: str | None = None) -> dict[str, str]:
    """What the gate said in the visitor's language, by the id of the release or event; English stands anyway."""
    if visit.language == "en":
        return {}
    past = visit.project.store.history
    every: list[Release | Event] = [*past.releases(task, channel, limit=None)]
    every += past.events(task, channel, limit=None)
    return {
        one.id: explain(one.evidence, visit.language)
        for one in every
        if one.evidence.get("verdict") in LANGUAGES[visit.language] and "comparison" in one.evidence
    }


def show(visit: Visit) -> Response:
    """What happened, of one channel or kind where asked for."""
    channel, kind = visit.query("channel"), visit.query("kind")
    every = visit.project.history(channel=channel)[::-1]
    kinds = sorted({line.kind for line in every})
    found = [line for line in every if kind in (None, line.kind)][:MOST]
    return visit.page(
        "history.html",
        title=visit.say("nav.history"),
        table=table(visit, found, COLUMNS),
        told=told(visit, channel=channel),
        kinds=kinds,
        wanted={"channel": channel, "kind": kind},
        channels=[one.name for one in visit.project.channels()],
    )


SCREEN = Screen("history", [Page("/history", show)])
