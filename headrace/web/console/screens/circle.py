"""The circle: what came in, what serves, how good it is, and what waits."""

from __future__ import annotations

from starlette.responses import Response

from headrace.reports.status import PairStatus
from headrace.web.console.tables import Column, table
from headrace.web.console.visit import Page, Screen, Visit

COLUMNS: tuple[Column[PairStatus], ...] = (
    Column("channel", lambda one: (one.channel, one.task)),
    Column("rows", lambda one: one.rows, number=True),
    Column("clean", lambda one: one.train + one.test, number=True),
    Column("rejected", lambda one: sum(one.rejected.values()), number=True),
    Column("serves", lambda one: one.adapter.id if one.adapter else None),
    Column(
        "accuracy",
        lambda one: one.judged.accuracy.value if one.judged and one.judged.n else None,
        number=True,
    ),
    Column("answers", lambda one: one.answers, number=True),
    Column("waiting", lambda one: one.feedback_waiting, number=True),
)


def show(visit: Visit) -> Response:
    """Every (task, channel), the sums of all, and the last turn."""
    pairs = visit.project.status()
    steps = [
        ("rows", sum(one.rows for one in pairs), "/data"),
        ("clean", sum(one.train + one.test for one in pairs), "/data"),
        ("serving", sum(one.serves is not None for one in pairs), "/adapters"),
        ("answers", sum(one.answers for one in pairs), "/answers"),
        ("waiting", sum(one.feedback_waiting for one in pairs), "/labelling"),
    ]
    todo = [
        ("tickets", visit.console.waiting(), "/queue"),
        ("unlabelled", sum(one.unlabelled for one in pairs), "/labelling"),
        ("quarantine", sum(sum(one.rejected.values()) for one in pairs), "/data"),
        ("held", len(visit.project.feedback(state="held")), "/labelling?kind=held"),
    ]
    return visit.page(
        "circle.html",
        title=visit.say("nav.circle"),
        table=table(visit, pairs, COLUMNS),
        steps=steps,
        todo=[one for one in todo if one[1]],
        turns=visit.project.turns(),
    )


SCREEN = Screen("circle", [Page("/", show)])
