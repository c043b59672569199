"""Answers as they are sent."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from headrace.web.ports import Given


def answers(given: Sequence[Given]) -> str:
    """The body of a reply."""
    return orjson.dumps({"answers": [answer(one) for one in given]}).decode()


def answer(given: Given) -> dict[str, object]:
    """One answer as it is sent."""
    one = given.answer
    return {
        "id": one.id,
        "label": one.label,
        "confidence": one.confidence,
        "scores": dict(given.scores),
        "release": one.release,
        "adapter": one.adapter,
        "because": one.because,
    }
