"""Rows -> the slices in which an adapter must not fall: language, length, source and origin."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from headrace.records import Example

SHORT = 40  # letters of a short text at most, a Chinese character counting twice
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def slices_of(rows: Sequence[Example], sources: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Kind -> the value of each row; `sources` names the source of rows by their ids.

    A golden row has neither source nor origin: all golden rows are held to a check of their own.
    """
    return {
        "language": tuple("han" if _HAN.search(row.text) else "other" for row in rows),
        "length": tuple("short" if _length(row.text) <= SHORT else "long" for row in rows),
        "source": tuple("" if row.golden else sources.get(row.id, "") for row in rows),
        "origin": tuple("" if row.golden else row.origin for row in rows),
    }


def _length(text: str) -> int:
    return len(text) + len(_HAN.findall(text))
