"""A day at the help desk: customers who ask all at once, and a person who knows what is right."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.apps.support.desk import Desk
from headrace.apps.support.outcomes import Reply
from headrace.demo.questions import Question
from headrace.demo.support_rows import CHANNEL
from headrace.records import Message
from headrace.web.support import SupportService

AT_ONCE = 16
AGENT = "ann"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the customer's message that asked it, and the reply."""

    question: Question
    message: Message
    reply: Reply


async def ask_all(support: SupportService, questions: Sequence[Question]) -> list[Asked]:
    """Every question in a conversation of its own, some at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(question: Question) -> Asked:
        async with room:
            return await ask(support, question)

    return list(await asyncio.gather(*(one(question) for question in questions)))


async def ask(support: SupportService, question: Question) -> Asked:
    """One question in a new conversation."""
    begun = await support.begin(CHANNEL)
    message = await support.receive(begun.conversation.id, question.text)
    return Asked(question, message, await support.reply(message))


def check_all(desk: Desk, asked: Sequence[Asked]) -> Counter[bool]:
    """The person checks every answer that was drawn; how many were right and wrong."""
    truth = {one.message.id: one.question.label for one in asked}
    counted: Counter[bool] = Counter()
    for message in desk.to_check(CHANNEL, 10_000):
        label = truth.get(message.reply_to or "")
        if label is None:
            continue
        right = said(desk, message) == label
        desk.check(message.id, AGENT, right, label=None if right else label)
        counted[right] += 1
    return counted


def said(desk: Desk, message: Message) -> str | None:
    """The intent of what the machine says, or would have said."""
    known = desk.project.store.documents.passages_by_id(message.sources)
    return next((passage.intent for passage in known.values()), None)


def by_decision(desk: Desk, asked: Sequence[Asked]) -> dict[str, tuple[int, int]]:
    """Of the messages answered alone, asked back and handed over: how many, and of how many the answer is right.

    Of those asked back right means that the right one is among the choices.
    """
    found: dict[str, tuple[int, int]] = {}
    for decision in ("alone", "ask", "person"):
        some = [one for one in asked if one.reply.decision == decision]
        found[decision] = len(some), sum(_right(desk, one) for one in some)
    return found


def _right(desk: Desk, one: Asked) -> bool:
    if one.reply.decision == "ask":
        return one.question.label in {choice.label for choice in one.reply.choices}
    shown = one.reply.message if one.reply.decision == "alone" else desk.proposal(one.message)
    return shown is not None and said(desk, shown) == one.question.label
