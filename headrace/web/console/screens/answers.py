"""Live answers: the latest ones, and why each was given."""

from __future__ import annotations

from starlette.responses import Response

from headrace.records import Answer
from headrace.web.console.reasons import parts
from headrace.web.console.tables import Column, table
from headrace.web.console.visit import BOTH, Page, Screen, Visit

MOST = 100
COLUMNS: tuple[Column[Answer], ...] = (
    Column("text", lambda one: one.text.lower()),
    Column("answered", lambda one: one.label),
    Column("sure", lambda one: one.confidence, number=True),
    Column("channel", lambda one: (one.channel, one.task)),
    Column("at", lambda one: one.at),
)


def show(visit: Visit) -> Response:
    """The latest answers, of one channel or task where asked for."""
    wanted = {name: visit.query(name) for name in ("task", "channel")}
    found = visit.project.answers(**wanted, limit=MOST)
    return visit.page(
        "answers.html",
        title=visit.say("nav.answers"),
        table=table(visit, found, COLUMNS),
        passages=visit.project.store.documents.passages_by_id([one.label for one in found]),
        wanted=wanted,
        channels=[one.name for one in visit.project.channels()],
        tasks=list(visit.project.recipe.tasks),
        most=MOST,
    )


def one(visit: Visit) -> Response:
    """One answer with everything behind it: its words, the examples that are nearest, or the passage found."""
    answer = visit.project.store.answers.get(visit.path("id"))
    passage = visit.project.store.documents.passages_by_id([answer.label]).get(answer.label)
    if passage is not None:
        return visit.page("found.html", title=visit.say("answer.title"), answer=answer, passage=passage)
    with visit.console.explaining:
        trace, words = visit.project.trace(answer.id), parts(visit.project, answer)
    labels = visit.project.labels(answer.task)
    return visit.page("answer.html", title=visit.say("answer.title"), trace=trace, words=words, labels=labels)


def judge(visit: Visit) -> Response:
    """Say that an answer was right, or what would have been."""
    answer, label = visit.path("id"), visit.form.get("label", "")
    right = visit.form.get("said") == label
    visit.project.add_feedback(answer, "right" if right else "correction", None if right else label)
    return visit.go(f"/answers/{answer}", "judged")


SCREEN = Screen(
    "answers",
    [
        Page("/answers", show, roles=BOTH),
        Page("/answers/{id}", one, roles=BOTH),
        Page("/answers/{id}/judge", judge, "POST", roles=BOTH),
    ],
)
