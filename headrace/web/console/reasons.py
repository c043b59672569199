"""An answer's text in parts, each marked as speaking for the answer, against it, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headrace.apps.support.explain import Piece, pieces
from headrace.project import Project
from headrace.records import Answer

Side = Literal["for", "against", ""]
LEAST = 0.02
"""Of the label's chance: words that move it less are not marked."""


@dataclass(frozen=True, slots=True)
class Part:
    """Characters of the text, and which side they are on; `weight` is what they move the label's chance by."""

    text: str
    side: Side = ""
    weight: float = 0.0


def parts(project: Project, answer: Answer) -> tuple[Part, ...]:
    """The text of an answer, its words weighed by what serves now; empty where nothing does.

    Raises NotServed, ArtifactError.
    """

    def chances(texts: Sequence[str]) -> list[float]:
        seen = [project.sight(answer.task, answer.channel, text, answer.label) for text in texts]
        return [one.chance or 0.0 for one in seen]

    return marked(answer.text, pieces(answer.text, chances))


def marked(text: str, found: Sequence[Piece]) -> tuple[Part, ...]:
    """The whole text in order, what is between its pieces included."""
    made, last = [], 0
    for piece in found:
        made += [Part(text[last : piece.start])] if piece.start > last else []
        made.append(Part(text[piece.start : piece.end], _side(piece.weight), piece.weight))
        last = piece.end
    return (*made, *([Part(text[last:])] if last < len(text) else []))


def _side(weight: float) -> Side:
    return "" if abs(weight) < LEAST else "for" if weight > 0 else "against"
