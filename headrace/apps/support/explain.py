"""Why a label: the words for and against it, by leaving each out, and the examples that are nearest.

Occlusion: a piece of the text is left out, and how far the label's chance falls is how much the piece spoke for
it (M. D. Zeiler, R. Fergus, Visualizing and understanding convolutional networks, ECCV 2014). The chances come
from whoever serves, so what is explained is what answered. Words are pieces; of Chinese, Japanese and Thai,
which write no spaces, each two characters, and a character gets the mean of the pieces that hold it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Chances = Callable[[Sequence[str]], Sequence[float]]
"""Texts -> how likely the label is of each."""
MOST = 64
"""Pieces of a text that are left out; a longer text has longer pieces."""
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:['’][^\W{_UNSPACED}]+)*")
_ALONE = re.compile(rf"[{_UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters `start` to `end` of the text; the label is less likely by `weight` without them."""

    text: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Near:
    """An example by its place in what was searched, and the cosine of its embedding with the text's."""

    place: int
    similarity: float


def pieces(text: str, chances: Chances) -> tuple[Piece, ...]:
    """What each word of `text` speaks for the label (above 0) or against it, in the text's order."""
    tokens = [found.span() for found in _TOKEN.finditer(text)]
    spans = _together(text, tokens)
    if not spans:
        return ()
    whole, *without = chances([text, *(text[:start] + text[end:] for start, end in spans)])
    falls = [whole - one for one in without]
    return tuple(
        Piece(text[start:end], start, end, float(np.mean(weights)))
        for start, end in _shown(text, tokens, spans)
        if (weights := [f for f, (a, b) in zip(falls, spans, strict=True) if a <= start and end <= b])
    )


def strongest(found: Sequence[Piece], limit: int = 5) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """The pieces that speak for the label and those against it, the strongest first."""
    ordered = sorted(found, key=lambda piece: -abs(piece.weight))
    return (
        tuple([piece for piece in ordered if piece.weight > 0][:limit]),
        tuple([piece for piece in ordered if piece.weight < 0][:limit]),
    )


def nearest(
    embedding: NDArray[np.float32], embeddings: NDArray[np.float32], limit: int = 3
) -> tuple[Near, ...]:
    """The rows of `embeddings` [n, d] that are nearest to `embedding` [d], the nearest first; all of norm 1."""
    if not len(embeddings):
        return ()
    similar = embeddings @ embedding
    order = np.argsort(-similar, kind="stable")[:limit]
    return tuple(Near(int(place), float(similar[place])) for place in order)


def _together(text: str, tokens: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left out: words, pairs of neighbouring unspaced characters; at most `MOST` pieces."""
    step = -(-len(tokens) // MOST)
    if step > 1:
        return [
            (tokens[i][0], tokens[min(i + step, len(tokens)) - 1][1]) for i in range(0, len(tokens), step)
        ]
    spans = []
    for i, (start, end) in enumerate(tokens):
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        pair = following is not None and following[0] == end and _alone(text, start) and _alone(text, end)
        ended = i > 0 and tokens[i - 1][1] == start and _alone(text, start) and _alone(text, tokens[i - 1][0])
        if pair and following is not None:
            spans.append((start, following[1]))
        elif not (_alone(text, start) and ended):
            spans.append((start, end))
    return spans


def _shown(text: str, tokens: list[tuple[int, int]], spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pieces that get a weight: tokens, or what was left out where that is longer than a pair."""
    return spans if -(-len(tokens) // MOST) > 1 else tokens


def _alone(text: str, at: int) -> bool:
    return _ALONE.match(text, at) is not None
