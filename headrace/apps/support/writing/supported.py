"""Whether a passage says what a sentence says, by its words: what a language model adds does not pass.

Every word of meaning, number, address and sign of the sentence stands in one sentence of the passage or in its
title. A number, a "not", an "if" or an "only" stands in both or in neither. Words are compared by their stems,
Chinese by pairs of characters. This judges words, not meaning: who does what to whom may still be turned round,
another word may be left out ("next day" of "next working day"), and a true rewording is often refused.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from headrace.apps.support.writing.sentences import split
from headrace.records import Passage

_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.\-]*://[^\s<>\"'，。！？；）]+|[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+|[a-z0-9\-]+(?:\.[a-z0-9\-]+)*\.[a-z]{2,}"
    r"(?:/[^\s<>\"'，。！？；）]*)?",
    re.ASCII,
)
_DIALLED = re.compile(r"\+?\d[\d\s().\-/]{5,}\d")
_LONG, _LEAST = 7, 3  # digits of a telephone number; words and signs of a sentence
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_SIGN = re.compile(r"[$€£¥%‰°#@&<>{}\\|=+*^~`]")
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = re.compile(rf"[{_HAN}]+")
_WORD = re.compile(rf"(?:(?![{_HAN}\d_])\w)+(?:'(?:(?![{_HAN}\d_])\w)+)?")
_ENDINGS = ("'s", "ies", "ing", "ed", "es", "s", "e", "y")
_ARTICLES = "a an the this that these those it its they them their there here we us our you your i me my"
_AUXILIARIES = (
    "is are was were be been being am do does did can could may might will would shall have has had"
)
_JOINTS = "of to in on at for from with by as about and or so then also too please"
_SMALL = frozenset(f"{_ARTICLES} {_AUXILIARIES} {_JOINTS}".split())
_SMALL_HAN = frozenset(
    "的了吗呢吧啊呀哦您你我们咱他她它是在有和与及或也都就还会能可以请把被将这那个之其所而且对于给"
)
_LIMITS = {
    "not": ("not", "no", "never", "none", "nor", "cannot", "without", "neither", "nothing", "nobody"),
    "if": ("if", "unless", "when", "until", "provided"),
    "only": ("only", "except", "exclude", "excluding", "solely", "but"),
}
_LIMITS_HAN = {"not": "不没無无未非勿莫别", "if": "若如倘除", "only": "仅只唯除但"}


@dataclass(frozen=True)
class _Said:
    """What is compared of a text. `words` are stems and signs, `pairs` of Chinese characters, neighbours."""

    addresses: frozenset[str]
    numbers: frozenset[str]
    words: frozenset[str]
    pairs: frozenset[str]
    runs: tuple[str, ...]
    limits: frozenset[str]

    def __or__(self, other: _Said) -> _Said:
        return _Said(
            self.addresses | other.addresses,
            self.numbers | other.numbers,
            self.words | other.words,
            self.pairs | other.pairs,
            (*self.runs, *other.runs),
            self.limits | other.limits,
        )


def supports(passage: Passage, sentence: str) -> bool:
    """Whether `passage` says what `sentence` says; a question, a heading, hidden characters nothing supports."""
    if sentence.rstrip("\"'”’」』） ").endswith(("?", "？", ":", "：")) or any(
        unicodedata.category(sign)[0] == "C" for sign in sentence
    ):
        return False
    claim, title = _said(sentence), _said(passage.title)
    return any(_covers(_said(window), title, claim) for window in split(passage.text))


def _covers(window: _Said, title: _Said, claim: _Said) -> bool:
    counted = {number for number in window.numbers if len(number) < _LONG}
    if claim.limits != window.limits or counted - claim.numbers:
        return False
    known = window | title
    if claim.addresses - known.addresses or claim.numbers - known.numbers or claim.words - known.words:
        return False
    units = [*claim.addresses, *claim.numbers, *claim.words]
    own = [u in window.addresses or u in window.numbers or u in window.words for u in units]
    for run in claim.runs:
        meant = [at for at, sign in enumerate(run) if sign not in _SMALL_HAN]
        if not all(_stands(run, at, known) for at in meant):
            return False
        own += [_stands(run, at, window) for at in meant]
    size = len(own) + len(claim.addresses) + len(claim.limits)
    return size >= _LEAST and 2 * sum(own) >= len(own)


def _stands(run: str, at: int, said: _Said) -> bool:
    """Whether a character stands there beside one of its neighbours, or alone where it has none."""
    if len(run) == 1:
        return any(run in other for other in said.runs)
    return run[max(at - 1, 0) : at + 1] in said.pairs or run[at : at + 2] in said.pairs


def _said(text: str) -> _Said:
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    addresses = frozenset(found.rstrip(".,;:!?)") for found in _ADDRESS.findall(plain))
    bare = _ADDRESS.sub(" ", plain)
    dialled = {digits for found in _DIALLED.findall(bare) if len(digits := _digits(found)) >= _LONG}
    counted = _DIALLED.sub(lambda found: " " if len(_digits(found[0])) >= _LONG else found[0], bare)
    numbers = {*dialled, *_NUMBER.findall(counted)}
    words = _WORD.findall(bare)
    runs = tuple(_RUN.findall(bare))
    stems = {_stem(word) for word in words if word not in _SMALL and not _limit(word)}
    return _Said(
        addresses,
        frozenset(numbers),
        frozenset(stems | set(_SIGN.findall(bare))),
        frozenset(run[at : at + 2] for run in runs for at in range(len(run) - 1)),
        runs,
        _limits(words, runs),
    )


def _limits(words: list[str], runs: tuple[str, ...]) -> frozenset[str]:
    found = {limit for word in words if (limit := _limit(word))}
    found |= {
        limit for limit, signs in _LIMITS_HAN.items() if any(sign in run for run in runs for sign in signs)
    }
    return frozenset(found)


def _limit(word: str) -> str:
    if word.endswith("n't"):
        return "not"
    return next((limit for limit, words in _LIMITS.items() if word in words), "")


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if len(word) - len(ending) >= 3 and word.endswith(ending):
            return word.removesuffix(ending)
    return word
