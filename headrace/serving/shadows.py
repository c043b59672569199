"""What both adapters of a trial said -> the record of the answer that was not sent."""

from __future__ import annotations

from headrace.records import Answer, Shadow
from headrace.serving.engine import Scored


def shadow_of(sent: Answer, scored: Scored) -> Shadow | None:
    """The other adapter's answer beside the one that is `sent`; None where no trial covers the question.

    Where a correction decides, it decides for both, and they agree.
    """
    if scored.beside is None:
        return None
    trial, other = scored.beside.trial, scored.beside.scored
    label = sent.label if sent.because else other.label
    return Shadow(
        answer=sent.id,
        trial=trial.id,
        adapter=other.adapter,
        label=label,
        confidence=other.chance(label),
        differs=label != sent.label,
        drawn=trial.draws(sent.id),
        rate=trial.rate,
        at=sent.at,
    )
