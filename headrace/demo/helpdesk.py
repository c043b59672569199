"""The questions that users of Headrace ask its help desk, written for this project (see DATA_CARD.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from headrace.demo.questions import Material, Question, Rows

QUESTIONS = Path(__file__).parent / "helpdesk.jsonl"


def material(channel: str) -> Material:
    """The rows to collect and the questions to ask of `helpdesk-en` or `community-en`."""
    rows: Rows = []
    live: list[Question] = []
    for line in _lines():
        if line["channel"] != channel:
            continue
        if line["split"] == "live":
            live.append(Question(line["text"], line["intent"], line.get("rewording")))
        else:
            rows.append({"text": line["text"], "label": line["intent"], "split": line["split"]})
    return Material(rows, tuple(live))


def _lines() -> Iterator[dict[str, str]]:
    with open(QUESTIONS, encoding="utf-8") as lines:
        yield from map(json.loads, lines)
