"""What the adapters said to a request -> what is stored of it and what is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.channels.quotas import Taken
from headrace.records import Answer, Clock
from headrace.serving.engine import Scored
from headrace.serving.shadows import shadow_of
from headrace.store import Reply
from headrace.web.ports import Given, LateScores, Memory, best
from headrace.web.writer import Claim, Entry

_SCORES = 5


@dataclass(frozen=True, slots=True)
class Question:
    """What one request asks, private details `masked`, and what it took from its channel's quota.

    `ids` are those of the answers to come: known before them, so that no draw can depend on an answer.
    `person` is the pseudonym of who asks.
    """

    channel: str
    task: str
    masked: Sequence[str]
    ids: Sequence[str]
    person: str | None
    taken: Taken
    claim: Claim | None
    render: Callable[[Sequence[Given]], str]


def entry_of(question: Question, found: Sequence[Scored], memory: Memory, clock: Clock) -> Entry:
    """The answers as they are stored, what trials have beside them, and the reply as it is sent."""
    each = zip(question.masked, question.ids, found, strict=True)
    given = [_given(question, text, name, scored, memory, clock) for text, name, scored in each]
    return Entry(
        given[0].answer.at,
        [one.answer for one in given],
        [one.shadow for one in given if one.shadow is not None],
        taken=question.taken,
        claim=question.claim,
        reply=reply_to(question.claim, question.render(given)),
    )


def reply_to(claim: Claim | None, body: str) -> Reply:
    """A reply that is sent, and kept where there is a claim."""
    return Reply(claim.digest if claim else "", 200, body)


def _given(question: Question, text: str, name: str, scored: Scored, memory: Memory, clock: Clock) -> Given:
    channel, task, known = question.channel, question.task, scored.serving
    scores = LateScores(known.labels, known.probabilities)
    recalled = memory.recall(task, channel, text, known.embedding, scores)
    found = best(scored.labels, scored.probabilities, _SCORES)
    label, confidence = found[0]
    if recalled:
        label, confidence = recalled.label, scored.chance(recalled.label)
    answer = Answer(
        id=name,
        channel=channel,
        task=task,
        text=text,
        label=label,
        confidence=confidence,
        release=scored.release,
        adapter=scored.adapter,
        at=clock(),
        because=recalled.feedback_id if recalled else None,
        person=question.person,
    )
    return Given(answer, found, shadow_of(answer, scored))
