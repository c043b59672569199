"""Knowledge and its gaps: documents, drafts to publish, and questions that found no answer."""

from __future__ import annotations

from collections import Counter

from starlette.responses import Response

from headrace.records import Document
from headrace.web.console.tables import Column, table
from headrace.web.console.visit import Page, Screen, Visit

COLUMNS: tuple[Column[Document], ...] = (
    Column("title", lambda one: one.title.lower()),
    Column("source", lambda one: one.source),
    Column("channel", lambda one: one.channel or ""),
    Column("language", lambda one: one.language),
    Column("state", lambda one: (one.flag is None, one.state)),
    Column("at", lambda one: one.at),
)


def show(visit: Visit) -> Response:
    """Documents, those of one state where asked for, and the gaps."""
    every = visit.project.documents()
    state = visit.query("state")
    found = [one for one in every if state in (None, one.state) or (state == "flagged" and one.flag)]
    states: Counter[str] = Counter(one.state for one in every)
    states["flagged"] = sum(one.flag is not None for one in every)
    return visit.page(
        "knowledge.html",
        title=visit.say("nav.knowledge"),
        table=table(visit, found, COLUMNS),
        states={name: n for name, n in states.items() if n},
        state=state,
        total=len(every),
        gaps=visit.project.gaps(),
        channels=[one.name for one in visit.project.channels()],
    )


def one(visit: Visit) -> Response:
    """One document with its passages."""
    document, passages = visit.project.document(visit.path("id"))
    owned = document.source not in visit.project.recipe.knowledge
    return visit.page("document.html", title=document.title, one=document, passages=passages, owned=owned)


def draft(visit: Visit) -> Response:
    """Write a draft, which answers nobody until it is published."""
    made = visit.project.draft(
        visit.given("title"),
        visit.given("text"),
        channel=visit.form.get("channel") or None,
        language=visit.form.get("language", ""),
    )
    return visit.go(f"/knowledge/{made.id}", "drafted")


def publish(visit: Visit) -> Response:
    """Let a draft answer from now on."""
    visit.project.publish(visit.path("id"))
    return visit.go(f"/knowledge/{visit.path('id')}", "published")


def flag(visit: Visit) -> Response:
    """Say what is wrong with a document, or that nothing is any more."""
    fine = bool(visit.form.get("fine"))
    visit.project.flag_document(visit.path("id"), None if fine else visit.given("reason"))
    return visit.go(f"/knowledge/{visit.path('id')}", "unflagged" if fine else "flagged")


def remove(visit: Visit) -> Response:
    """Take away what was written here."""
    visit.project.remove_document(visit.path("id"))
    return visit.go("/knowledge", "removed")


SCREEN = Screen(
    "knowledge",
    [
        Page("/knowledge", show),
        Page("/knowledge/draft", draft, "POST"),
        Page("/knowledge/{id}", one),
        Page("/knowledge/{id}/publish", publish, "POST"),
        Page("/knowledge/{id}/flag", flag, "POST"),
        Page("/knowledge/{id}/remove", remove, "POST"),
    ],
)
