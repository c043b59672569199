"""Messages as a customer sees them: with their sources, and with what else may have been meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.records import Conversation, Message, Passage
from headrace.store import Store

CHOICES = 3
"""Passages that a visitor may pick from at most."""
_LATEST = 20  # answers of a conversation that may still be corrected by picking


def shown(store: Store, where: Conversation, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages of a conversation as JSON. `judge` says that thumbs belong to one.

    `choices` are what the visitor is asked about, or what else was found beside an answer; `sources` have an
    `url` where the passage does. What is not of the conversation's channel is never shown.
    """
    answers = [m for m in messages if m.author == "machine" and m.decision == "alone" and m.reply_to]
    found = {m.id: _found(store, m) for m in answers[-_LATEST:]}
    wanted = {name for m in messages for name in (*m.sources, *found.get(m.id, ()))}
    known = {
        name: passage
        for name, passage in store.documents.passages_by_id(sorted(wanted)).items()
        if passage.channel in (None, where.channel)
    }
    return [_message(m, known, found.get(m.id, ())) for m in messages]


def _found(store: Store, message: Message) -> tuple[str, ...]:
    """What was found for the question, likeliest first."""
    search = store.searches.find(message.reply_to or "")
    return (
        ()
        if search is None
        else tuple(sorted(search.shown, key=lambda name: -float(str(search.shown[name]))))
    )


def _message(message: Message, known: dict[str, Passage], found: Sequence[str]) -> dict[str, Any]:
    named = [known[name] for name in message.sources if name in known]
    asks = message.author == "machine" and message.decision is None and message.answer is not None
    others = named if asks else _others(named, [known[name] for name in found if name in known])
    return {
        "id": message.id,
        "author": message.author,
        "text": message.text,
        "at": message.at.isoformat(),
        "reply_to": message.reply_to,
        "asks": asks and bool(named),
        "judge": message.author == "machine" and message.decision == "alone",
        "sources": []
        if asks
        else [{"title": p.title, "url": p.url if _is_web(p.url) else ""} for p in named],
        "choices": [{"label": p.id, "title": p.title} for p in others if p.title],
    }


def _others(named: Sequence[Passage], found: Sequence[Passage]) -> list[Passage]:
    """What else was found, in the answer's language where there is any of it."""
    given = {p.id for p in named} | {p.intent for p in named if p.intent}
    rest = [p for p in found if p.id not in given and p.intent not in given]
    spoken = {p.language for p in named} | {""}
    return ([p for p in rest if p.language in spoken] or rest)[:CHOICES]


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))
