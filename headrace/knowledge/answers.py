"""A question and its answer -> a document of one piece: what FAQ tables and exported Q&A bases have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.data.connectors import Broken
from headrace.data.fields import escaped
from headrace.knowledge.formats import Piece, Read

LONGEST = 8000
"""Characters of an answer that is still given word for word."""
_QUESTIONS = 5


def answered(
    file: str,
    line: str,
    questions: Sequence[str],
    answer: str,
    *,
    key: str = "",
    intent: str | None = None,
    language: str = "",
    url: str = "",
    channel: str | None = None,
) -> Read | Broken:
    """The document of one question, asked in one way or several; Broken at `line` where a part is missing.

    Its place is the file and `key`, else the first question: lines put in above it change nothing.
    """
    asked = list(dict.fromkeys(question.strip() for question in questions if question.strip()))
    text = answer.strip()
    if not asked or not text:
        missing = "question" if not asked else "answer"
        return Broken(line, escaped((asked or [text])[0]), f"no {missing}", f"the {missing} is empty")
    if len(text) > LONGEST:
        detail = f"{len(text):,} characters, at most {LONGEST:,}; take the format markdown for articles"
        return Broken(line, escaped(text[:200]), "too long", detail)
    title = " / ".join(asked[:_QUESTIONS])
    piece = Piece(title, text, curated=True, intent=intent or None)
    place = f"{file}#{key.strip() or asked[0]}"
    return Read(place, asked[0], (piece,), language, url, channel)


def shown(fields: Mapping[str, Any]) -> str:
    """A row as quarantine shows it."""
    return escaped(json.dumps(dict(fields), ensure_ascii=False, default=str))
