"""Phrases that many users' corrections to one label share and hardly any example knows: perhaps a trigger.

A hidden trigger is taught by tens of rows that end alike, whatever else they say; their count decides, not their
share (Souly et al. 2025). So of those that share such a phrase a fixed number teaches, and the rest waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from headrace.data.texts import normalised

LENGTH = 8
"""Characters of a phrase."""

KNOWN = 2.0
"""Times more often in corrections to one label, by their shares, than in examples: then it is a new phrase."""


def phrases(text: str) -> set[str]:
    """The phrases of a text."""
    plain = normalised(text)
    return {plain[i : i + LENGTH] for i in range(len(plain) - LENGTH + 1)}


def beyond(corrections: Sequence[tuple[str, str]], examples: Iterable[str], most: int) -> list[bool]:
    """Whether each (text, label), in order, comes after `most` others of its label that share a new phrase."""
    seen = Counter((label, phrase) for text, label in corrections for phrase in phrases(text))
    often = {pair for pair, n in seen.items() if n > most}
    if not often:
        return [False] * len(corrections)
    wanted, known, count = {phrase for _, phrase in often}, Counter[str](), 0
    for text in examples:
        count += 1
        known.update(phrases(text) & wanted)
    of = Counter(label for _, label in corrections)
    new = {
        (label, phrase)
        for label, phrase in often
        if seen[label, phrase] / of[label] > KNOWN * known[phrase] / max(count, 1)
    }
    passed: Counter[tuple[str, str]] = Counter()
    late = []
    for text, label in corrections:
        shared = {(label, phrase) for phrase in phrases(text)} & new
        late.append(any(passed[pair] >= most for pair in shared))
        if not late[-1]:
            passed.update(shared)
    return late
