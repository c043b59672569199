"""What nobody answered: put together by meaning, counted, and a gap no more once it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from knowledge_parts import recipe

from headrace.knowledge.gaps import ENOUGH, Asked, gaps, open_questions
from headrace.project import Project
from headrace.recipe import RECIPE
from headrace.records import Conversation, Message, Ticket
from headrace.store import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NORWAY = [
    "Do you ship to Norway?",
    "do you ship to norway",
    "Can you ship to Norway please?",
    "ship to Norway?",
]
GIFT = ["How do I wrap a gift?", "Can you wrap it as a gift?"]
CHINESE = ["可以开发票吗", "能开发票吗？", "怎么开发票"]


def _asked(texts: Sequence[str]) -> list[Asked]:
    return [Asked(text) for text in texts]


def test_questions_of_one_meaning_are_one_gap_counted_most_asked_first() -> None:
    found = gaps(_asked([*NORWAY, *GIFT, *CHINESE, "What is love?", "  "]))
    assert [(gap.count, set(gap.questions)) for gap in found] == [
        (4, {NORWAY[0], NORWAY[2], NORWAY[3]}),
        (3, set(CHINESE)),
        (2, set(GIFT)),
    ]
    assert found[0].heading == "Do you ship to Norway?"
    assert found[1].draft in CHINESE
    assert len(gaps(_asked(["What is love?", *GIFT]), least=1)) == 2
    assert gaps([]) == []


def test_vectors_of_meaning_put_together_what_shares_no_letter() -> None:
    texts = [f"{word} {n}" for n in range(ENOUGH // 2) for word in ("abc", "xyz")] + ["qqq", "www"]

    def vectors(given: Sequence[str]) -> np.ndarray:
        kinds = {"a": 0, "x": 1, "q": 2, "w": 2}
        return np.eye(3, 8, dtype=np.float32)[[kinds[text[0]] for text in given]] + 5

    found = gaps(_asked(texts), vectors=vectors)
    assert {"qqq", "www"} in [set(gap.questions) for gap in found]
    assert [gap.count for gap in found] == [ENOUGH // 2, ENOUGH // 2, 2]


def _said(store: Store, number: int, text: str, channel: str = "website", decision: str = "person") -> None:
    conversation = Conversation(f"con_{number}", channel, "en", "d", NOW)
    at = NOW + timedelta(minutes=number)
    message = Message(f"msg_{number}", conversation.id, "customer", text, at)
    with store.transaction() as connection:
        store.conversations.begin_in(connection, conversation)
        store.conversations.say_in(connection, message)
        if decision == "ticket":
            store.tickets.open_in(
                connection, Ticket(f"t_{number}", conversation.id, channel, message.id, "x", at)
            )
        else:
            said: Any = decision
            reply = Message(
                f"rep_{number}", conversation.id, "machine", "?", at, reply_to=message.id, decision=said
            )
            store.conversations.say_in(connection, reply)


def test_messages_that_went_to_a_person_are_the_questions_newest_first(store: Store) -> None:
    _said(store, 1, NORWAY[0])
    _said(store, 2, "answered", decision="alone")
    _said(store, 3, NORWAY[2], decision="ask")
    _said(store, 4, GIFT[0], channel="partner", decision="ticket")
    assert [one.text for one in open_questions(store)] == [GIFT[0], NORWAY[2], NORWAY[0]]
    assert [one.text for one in open_questions(store, "website")] == [NORWAY[2], NORWAY[0]]


def test_a_gap_that_was_answered_is_none_until_it_is_asked_again(tmp_path: Path) -> None:
    hours = [0]
    project = Project.init(tmp_path, name="shop")
    (tmp_path / RECIPE).write_text(recipe().model_dump_json(include={"name", "tasks", "channels"}))
    project = Project(tmp_path, clock=lambda: NOW + timedelta(hours=hours[0]))
    for number, text in enumerate(NORWAY):
        _said(project.store, number, text)
    (gap,) = project.gaps("website")
    assert (gap.count, gap.answer) == (4, None)
    assert project.gaps("partner") == []
    hours[0] = 1
    draft = project.draft(gap.draft, "Yes.", "website")
    assert [one.answer for one in project.gaps("website")] == [draft.id]
    hours[0] = 2
    project.publish(draft.id)
    assert project.gaps("website") == []
    for number in (190, 191, 192):
        _said(project.store, number, f"Do you ship to Norway {number}?")
    assert [(one.count, one.answer) for one in project.gaps("website")] == [(3, draft.id)]
