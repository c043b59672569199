"""One channel's lesson: ask, correct what was wrong, ask again, and see what changed and what did not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headrace.demo.questions import Question
from headrace.demo.visitor import Reply, Visitor
from headrace.reports.figures import ExampleFigures, MemoryFigures

MOST = 40
Tick = Callable[[], None]


@dataclass(frozen=True)
class Lesson:
    """What a channel's corrections did before any training, and each of them shown whole."""

    figures: MemoryFigures
    examples: tuple[ExampleFigures, ...]


def teach(
    channel: str,
    questions: Sequence[Question],
    visitors: Mapping[str, Visitor],
    *,
    other: str | None,
    tick: Tick,
) -> Lesson:
    """Ask `questions` as `channel`, correct at most 40 wrong answers, and compare before and after.

    `other` is another channel of the same task: it is asked the corrected questions too, before and after.
    """
    visitor = visitors[channel]
    before = _ask(visitor, [q.text for q in questions], tick)
    wrong = [i for i, q in enumerate(questions) if before[i].label != q.label][:MOST]
    corrected = [questions[i] for i in wrong]
    reworded = [q for q in corrected if q.rewording]
    rest = [i for i in range(len(questions)) if i not in set(wrong)]
    texts = [q.text for q in corrected]
    rewordings = [q.rewording or "" for q in reworded]
    rewordings_before = _ask(visitor, rewordings, tick)
    elsewhere_before = _ask(visitors[other], texts, tick) if other else []
    times = [
        visitor.milliseconds_to_effect(q.text, before[i].id, q.label, person=f"visitor-{n}")
        for n, (i, q) in enumerate(zip(wrong, corrected, strict=True))
    ]
    after = _ask(visitor, texts, tick)
    rewordings_after = _ask(visitor, rewordings, tick)
    untouched_after = _ask(visitor, [questions[i].text for i in rest], tick)
    elsewhere_after = _ask(visitors[other], texts, tick) if other else []
    figures = MemoryFigures(
        channel=channel,
        corrected=len(corrected),
        wrong_asked=sum(before[i].label != q.label for i, q in enumerate(questions)),
        changed_corrected=_changed([before[i] for i in wrong], after),
        rewordings=len(rewordings),
        changed_rewordings=_changed(rewordings_before, rewordings_after),
        untouched=len(rest),
        changed_untouched=_changed([before[i] for i in rest], untouched_after),
        other_channel=len(elsewhere_after),
        changed_other_channel=_changed(elsewhere_before, elsewhere_after),
        rewordings_right=sum(r.label == q.label for r, q in zip(rewordings_after, reworded, strict=True)),
        milliseconds_median=statistics.median([t for t in times if t is not None] or [math.nan]),
    )
    reworded_then = {q.text: reply.label for q, reply in zip(reworded, rewordings_after, strict=True)}
    examples = [
        ExampleFigures(
            task=visitor.task,
            channel=channel,
            question=q.text,
            answered=before[i].label,
            correction=q.label,
            then=reply.label,
            rewording=q.rewording or "",
            rewording_then=reworded_then.get(q.text, ""),
            milliseconds=took or math.nan,
        )
        for i, q, reply, took in zip(wrong, corrected, after, times, strict=True)
    ]
    return Lesson(figures, tuple(examples))


def _ask(visitor: Visitor, texts: Sequence[str], tick: Tick) -> list[Reply]:
    replies = []
    for text in texts:
        replies.append(visitor.ask(text))
        tick()
    return replies


def _changed(before: Sequence[Reply], after: Sequence[Reply]) -> int:
    return sum(one.label != two.label for one, two in zip(before, after, strict=True))
