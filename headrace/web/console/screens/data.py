"""Data and quarantine: what was rejected and why, and how to take it back."""

from __future__ import annotations

from collections import Counter

from starlette.responses import Response

from headrace.records import Rejected
from headrace.web.console.tables import Column, table
from headrace.web.console.visit import Page, Screen, Visit

MOST = 100
COLUMNS: tuple[Column[Rejected], ...] = (
    Column("content", lambda one: one.content.lower()),
    Column("label", lambda one: one.label),
    Column("reason", lambda one: one.reason),
    Column("channel", lambda one: (one.channel, one.task)),
    Column("came", lambda one: one.at),
    Column("back"),
)


def show(visit: Visit) -> Response:
    """Counts of rows, and the quarantine, newest first."""
    pairs = visit.project.status()
    reasons = sum((Counter(one.rejected) for one in pairs), Counter[str]())
    wanted = {name: visit.query(name) for name in ("task", "channel", "reason")}
    found = visit.project.quarantine(**wanted, limit=MOST)
    return visit.page(
        "data.html",
        title=visit.say("nav.data"),
        pairs=pairs,
        reasons=reasons.most_common(),
        table=table(visit, found, COLUMNS),
        wanted=wanted,
        most=MOST,
        labels={task: visit.project.labels(task) for task in {one.task for one in found}},
    )


def restore(visit: Visit) -> Response:
    """Take a row back, with another text or label where given."""
    text, label = visit.form.get("text", "").strip(), visit.form.get("label", "").strip()
    visit.project.restore_row(visit.given("id"), text=text or None, label=label or None)
    return visit.go("/data", "restored", **{k: v for k in ("reason", "channel") if (v := visit.form.get(k))})


SCREEN = Screen("data", [Page("/data", show), Page("/data/restore", restore, "POST")])
