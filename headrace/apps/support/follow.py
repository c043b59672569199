"""A follow-up is understood with the turns before it: "and in Chinese?", "那怎么撤销呢？"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headrace.records import Message

TURNS = 2
_SHORT_WORDS, _SHORT_HAN = 3, 5
_LONG_WORDS, _LONG_HAN = 8, 12  # from which a text says enough, however it opens
_LEANS = re.compile(
    r"^(and|or|but|so|then|also|what about|how about|what if|why|why not|how so|which one"
    r"|the (first|second|other)|it|that|this|those|these|they|does it|is it|can it|will it|do they|are they)\b",
    re.IGNORECASE,
)
_LEANS_BACK = re.compile(
    r"\b(it|that|this one|that one|those|them)\s*[?.!]*$",
    re.IGNORECASE,
)
_LEANS_HAN = re.compile(
    r"^(那|那么|然后|还有|另外|它|这个|那个|这样|为什么|怎么会|如果是|要是|第[一二三]个)|(呢|它)[？?。！!]*$"
)
_WORD = re.compile(r"[^\W_\u3400-\u9fff]+")
_HAN = re.compile(r"[\u3400-\u9fff]")


def leans(text: str) -> bool:
    """Whether a text says too little alone: it is very short, or points at what was said before."""
    plain = text.strip()
    words, han = len(_WORD.findall(plain)), len(_HAN.findall(plain))
    brief = words < _LONG_WORDS and han < _LONG_HAN
    if _LEANS_BACK.search(plain) or (brief and (_LEANS.search(plain) or _LEANS_HAN.search(plain))):
        return True
    return words + han > 0 and words < _SHORT_WORDS and han < _SHORT_HAN


def before(message: Message, history: Sequence[Message]) -> tuple[str, ...]:
    """What the customer said before a follow-up, at most two turns, oldest first; nothing where it stands alone.

    A turn that leans itself brings the one before it along.
    """
    if not leans(message.text):
        return ()
    said = [m.text for m in history if m.author == "customer" and m.id != message.id]
    return tuple(said[-TURNS:]) if said and leans(said[-1]) else tuple(said[-1:])
