"""A written answer, as it streams in -> its sentences, each with the marks of its sources.

A sentence is given out once what follows it is known, so that however the stream is cut, the sentences are
the same. English ends want a space behind them (3.5, shop.example); Chinese ends do not. Marks are [1] or 【1】.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 2_000
"""Characters after which a sentence without an end is cut."""

_END = re.compile(r"[.!?]{1,20}[\"'”’»)]{0,3}(?=\s|[\[【])|[。！？；…]{1,20}[\"”’」』）)]{0,3}|\n")
_MARK = r"[\[【]\s{0,2}\d{1,3}(?:\s{0,2}[,，、;]\s{0,2}\d{1,3}){0,9}\s{0,2}[\]】]"
_MARKS = re.compile(_MARK)
_TAIL = re.compile(rf"(?:\s*{_MARK})*\s*")
_BEGUN = re.compile(r"[\[【][\d\s,，、;]*\Z")
_ENTRY = re.compile(r"\s*(?:[-*•]\s+)?\d{1,2}\.")
_SHORT = re.compile(r"(?:\b(?:mr|mrs|ms|dr|no|nr|st|vs|approx)|e\.g|i\.e)\.\Z", re.IGNORECASE)
_LIST = re.compile(r"^(?:[-*•#>]+\s+|\d{1,2}[.)]\s+)+")
_DECIDED = LONGEST + 64  # by then it is known whether an end begins within the longest


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence without its marks, and the numbers of the passages that they name."""

    text: str
    marks: tuple[int, ...]


class Sentences:
    """Takes pieces of text, gives whole sentences."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> list[Claim]:
        """The sentences that this piece completes."""
        self._held += piece
        return self._cut(final=False)

    def end(self, *, whole: bool = True) -> list[Claim]:
        """What is left; a sentence without its end counts only where the stream came `whole`."""
        found = self._cut(final=True)
        if whole and (claim := _claim(self._held)):
            found.append(claim)
        self._held = ""
        return found

    def _cut(self, *, final: bool) -> list[Claim]:
        found = []
        while (end := _end(self._held, final)) is not None:
            claim, self._held = _claim(self._held[:end]), self._held[end:]
            if claim:
                found.append(claim)
        return found


def split(text: str) -> list[str]:
    """The sentences of a whole text, marks left out."""
    parser = Sentences()
    return [claim.text for claim in (*parser.feed(text), *parser.end())]


def _end(text: str, final: bool) -> int | None:
    """Where the first sentence and its marks end; None where that is not known yet, or it has no end."""
    for match in _END.finditer(text):
        if match.start() >= LONGEST:
            break
        tail = _TAIL.match(text, match.end())
        end = tail.end() if tail else match.end()
        if not final and (end == len(text) or _BEGUN.match(text, end)):
            return None
        if not _goes_on(text, match, end):
            return end
    return LONGEST if len(text) > _DECIDED else None


def _goes_on(text: str, match: re.Match[str], end: int) -> bool:
    """Whether the full stop ends no sentence: the number of a list's entry, an abbreviation, a small letter."""
    if match[0] != ".":
        return False
    before = text[: match.end()]
    between = text[match.end() : end]
    if _ENTRY.fullmatch(before) or _SHORT.search(before):
        return True
    return "\n" not in between and not _MARKS.search(between) and text[end : end + 1].islower()


def _claim(text: str) -> Claim | None:
    marks = [int(number) for mark in _MARKS.findall(text) for number in re.findall(r"\d+", mark)]
    bare = " ".join(_MARKS.sub(" ", text).replace("**", "").replace("__", "").split())
    bare = re.sub(r"\s+(?=[.!?,;:。！？，；：])", "", _LIST.sub("", bare))
    return Claim(bare, tuple(dict.fromkeys(marks))) if bare else None
