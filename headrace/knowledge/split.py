"""A document as it was read -> passages: by headings, then by paragraphs and sentences, without overlap.

A passage holds at most about 120 words or 250 Chinese characters: what a customer reads at once, and what the
base reads whole. An answer that the owner wrote (`curated`) stays in one piece, and so does a code fence or a
table up to four times that length. No text is lost: the passages of a piece, one after the other, are its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from headrace.knowledge.formats import Piece, Read
from headrace.records import Passage, content_id

VERSION = "1"
"""Changes when documents have to be split anew though they did not change."""
WORDS = 120
CHARACTERS = 250
_SOLID = 4.0
_LETTERS = 12  # of a word at most, so that a text without spaces has a length too
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
# Where a text may be cut: after these.
_SENTENCE = re.compile(r"(?:[。！？]+[”’」』）)\"']*|(?<![!?.…])[!?.…]++[\"')\]”’]*+(?=\s)|\n)\s*")
_CLAUSE = re.compile(r"(?:[，、；：]|[,;:](?=\s))\s*")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]|[^\s]{64}|\s+")


def passages(read: Read, *, document: str, channel: str | None, at: datetime) -> list[Passage]:
    """The passages of a document; each of another title or text, so that every id is one passage's."""
    found: dict[str, Passage] = {}
    for piece in read.pieces:
        for text in parts(piece):
            made = Passage(
                id=content_id("psg", document, piece.title, text),
                document=document,
                channel=channel,
                language=read.language,
                title=piece.title,
                text=text,
                number=len(found),
                at=at,
                curated=piece.curated,
                intent=piece.intent,
                url=read.url,
            )
            found.setdefault(made.id, made)
    return list(found.values())


def parts(piece: Piece) -> list[str]:
    """The texts into which a piece is split."""
    text = piece.text.strip()
    if piece.curated or size(text) <= 1:
        return [text] if text else []
    return [part.strip() for part in _packed(_units(text)) if part.strip()]


def size(text: str) -> float:
    """How much of a passage a text fills: 1 is full."""
    others = _HAN.sub(" ", text).split()
    words = max(len(others), sum(map(len, others)) / _LETTERS)
    return len(_HAN.findall(text)) / CHARACTERS + words / WORDS


def _packed(units: Iterator[str]) -> Iterator[str]:
    """Units one after the other, as many as a passage holds."""
    held, filled = "", 0.0
    for unit in units:
        more = size(unit)
        if held and filled + more > 1:
            yield held
            held, filled = "", 0.0
        held += unit
        filled += more
    if held:
        yield held


def _units(text: str) -> Iterator[str]:
    """What stays together: a paragraph, else its sentences, else their clauses, else words."""
    for block in _blocks(text):
        if size(block) <= 1 or (_is_solid(block) and size(block) <= _SOLID):
            yield block
        elif _is_solid(block):
            yield from _within(block.splitlines(keepends=True))
        else:
            yield from _within(_pieces(_SENTENCE, block))


def _within(sentences: list[str]) -> Iterator[str]:
    for sentence in sentences:
        if size(sentence) <= 1:
            yield sentence
            continue
        for clause in _pieces(_CLAUSE, sentence):
            yield from [clause] if size(clause) <= 1 else _pieces(_WORD, clause)


def _pieces(ends: re.Pattern[str], text: str) -> list[str]:
    """The text cut after every match."""
    cuts = [match.end() for match in ends.finditer(text)]
    return [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True) if begin < end]


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, code fences and tables, each with the empty lines after it."""
    held: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and not fence:
            if held:
                yield "".join(held)
                held = []
            fence = mark[1]
        elif fence and line.strip().startswith(fence):
            fence = ""
        elif not fence and held and not held[-1].strip() and line.strip():
            yield "".join(held)
            held = []
        held.append(line)
    if held:
        yield "".join(held)


def _is_solid(block: str) -> bool:
    """Whether a block is a code fence or a table."""
    return bool(_FENCE.match(block)) or all(
        line.lstrip().startswith("|") for line in block.split("\n") if line.strip()
    )
