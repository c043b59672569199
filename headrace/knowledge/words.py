"""Exact words: BM25 over the titles and the texts of passages (Robertson and Zaragoza 2009, here by bm25s).

Latin scripts are read in words, without case, accents and the English plural; Chinese, Japanese and Korean in
single characters and pairs of them, so that no dictionary is needed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import bm25s
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TITLE = 0.5
"""What a word in the title counts for beside one in the text, which counts for 1."""

_PACKED = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(rf"[{_PACKED}]+|[^\W_{_PACKED}]+")
_IS_PACKED = re.compile(rf"[{_PACKED}]")
_LONG_ENOUGH = 4


def words(text: str) -> list[str]:
    """The words of a text as they are compared, in order."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    found: list[str] = []
    for run in _RUNS.findall(unicodedata.normalize("NFKC", bare)):
        if _IS_PACKED.match(run):
            found += [*run, *(run[i : i + 2] for i in range(len(run) - 1))]
        else:
            found.append(_singular(run))
    return found


def _singular(word: str) -> str:
    """Without the plural's ending (the S stemmer; Harman 1991)."""
    if len(word) < _LONG_ENOUGH or not word.endswith("s") or word.endswith(("us", "ss")):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") and len(word) > _LONG_ENOUGH else word[:-1]


class Words:
    """An index of n passages by their words; it never changes, so threads may share it."""

    def __init__(self, titles: Sequence[str], texts: Sequence[str], *, title: float = TITLE) -> None:
        self._count = len(texts)
        self._fields = [(title, _Field(titles)), (1.0, _Field(texts))]

    def scores(self, text: str) -> Floats:
        """[2, n] in [0, 1]: what of the question's words a passage holds, the rarer the more; its title alone.

        BM25 divided by what it would be in a passage full of every one of the question's words.
        """
        asked = list(dict.fromkeys(words(text)))
        (weight, title), (_, whole) = self._fields
        most = max(title.most(asked), whole.most(asked)) if self._count else 0.0
        if not most:
            return np.zeros((2, self._count), np.float32)
        headings = title.scores(asked) / np.float32(most)
        both = whole.scores(asked) / np.float32(most) + np.float32(weight) * headings
        return np.asarray(np.minimum(np.stack([both, headings]), 1), dtype=np.float32)


class _Field:
    """One field of all passages."""

    def __init__(self, texts: Sequence[str]) -> None:
        read = [words(text) for text in texts]
        self._count = len(read)
        self._known: dict[str, int] = {}
        ids = [[self._known.setdefault(word, len(self._known)) for word in some] for some in read]
        self._index = bm25s.BM25(method="lucene")
        held = np.zeros(len(self._known))
        for some in ids:
            held[list(set(some))] += 1
        self._rarity = np.log1p((self._count - held + 0.5) / (held + 0.5))
        if self._known:
            self._index.index((ids, self._known), show_progress=False, create_empty_token=False)

    def scores(self, asked: Sequence[str]) -> Floats:
        """[n] BM25 of each passage."""
        known = [self._known[word] for word in asked if word in self._known]
        if not known:
            return np.zeros(self._count, np.float32)
        index: Any = self._index  # takes numbers of words, too, which its annotation does not say
        return np.asarray(index.get_scores(known), np.float32)

    def most(self, asked: Sequence[str]) -> float:
        """The sum of the words' rarities, that of a word in no passage included."""
        unseen = float(np.log1p((self._count + 0.5) / 0.5))
        return sum(
            float(self._rarity[self._known[word]]) if word in self._known else unseen for word in asked
        )
