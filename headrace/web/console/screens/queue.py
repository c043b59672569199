"""The hand-over queue: who waits for a person, what was said, what may answer, and the person's answer."""

from __future__ import annotations

from starlette.responses import Response

from headrace.apps.support.outcomes import Waiting
from headrace.web.console.visit import BOTH, Page, Screen, Visit


def show(visit: Visit) -> Response:
    """All that waits, oldest first."""
    return _listed(visit, "queue.html")


def live(visit: Visit) -> Response:
    """The list alone, for pages that look again."""
    return _listed(visit, "queue_list.html")


def count(visit: Visit) -> Response:
    """How many wait, for the title of every page."""
    return visit.page("queue_count.html")


def ticket(visit: Visit) -> Response:
    """One conversation, and all that helps to answer it."""
    found = visit.console.desk.waiting(visit.path("id"))
    intent = visit.project.recipe.support.intent
    labels = visit.project.labels(intent) if intent else ()
    return visit.page(
        "ticket.html",
        title=visit.say("ticket.title"),
        one=found,
        labels=labels,
        open=found.ticket.state in ("waiting", "taken"),
        now=visit.project.clock(),
    )


def log(visit: Visit) -> Response:
    """The conversation alone, for a page that looks again."""
    ticket_ = visit.project.store.tickets.get(visit.path("id"))
    messages = visit.project.store.conversations.messages(ticket_.conversation)
    return visit.page("ticket_log.html", messages=messages)


def take(visit: Visit) -> Response:
    """Tell the others that this one is taken."""
    visit.console.desk.take(visit.path("id"), visit.user.name)
    return visit.go(f"/queue/{visit.path('id')}", "taken")


def answer(visit: Visit) -> Response:
    """Answer the customer, in the agent's words or in a passage's."""
    found = visit.console.desk.waiting(visit.path("id"))
    if found.draft is not None and visit.form.get("right"):
        visit.console.desk.check(found.draft.id, visit.user.name, True)
    intent = visit.form.get("intent") or None
    visit.console.desk.answer(
        visit.path("id"),
        visit.user.name,
        visit.form.get("text", "").strip(),
        passage=visit.form.get("passage") or None,
        intent=intent if intent != found.intent else None,
        draft=bool(visit.form.get("draft")),
        seen=visit.form.get("seen"),
    )
    return visit.go("/queue", "answered")


def close(visit: Visit) -> Response:
    """Close it without an answer."""
    visit.console.desk.close(visit.path("id"), visit.user.name, seen=visit.form.get("seen"))
    return visit.go("/queue", "closed")


def check(visit: Visit) -> Response:
    """Say whether what the machine would have answered is right."""
    visit.console.desk.check(visit.given("message"), visit.user.name, visit.form.get("right") == "yes")
    return visit.go(f"/queue/{visit.path('id')}", "checked")


def flag(visit: Visit) -> Response:
    """Mark an article as wrong or missing something."""
    channel = visit.project.store.tickets.get(visit.path("id")).channel
    visit.console.desk.flag(visit.given("passage"), visit.given("reason"), channel=channel)
    return visit.go(f"/queue/{visit.path('id')}", "flagged")


def _listed(visit: Visit, template: str) -> Response:
    """A page of the list, which tells how many there are in all."""
    desk = visit.console.desk if visit.console.serves else None
    waiting: list[Waiting] = desk.queue() if desk else []
    in_all = desk.open_count() if desk else 0
    title, now = visit.say("nav.queue"), visit.project.clock()
    return visit.page(template, title=title, waiting=waiting, in_all=in_all, now=now)


SCREEN = Screen(
    "queue",
    [
        Page("/queue", show, roles=BOTH),
        Page("/queue/live", live, roles=BOTH),
        Page("/queue/count", count, roles=BOTH),
        Page("/queue/{id}", ticket, roles=BOTH),
        Page("/queue/{id}/log", log, roles=BOTH),
        Page("/queue/{id}/take", take, "POST", roles=BOTH),
        Page("/queue/{id}/answer", answer, "POST", roles=BOTH),
        Page("/queue/{id}/close", close, "POST", roles=BOTH),
        Page("/queue/{id}/check", check, "POST", roles=BOTH),
        Page("/queue/{id}/flag", flag, "POST", roles=BOTH),
    ],
)
