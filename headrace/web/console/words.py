"""What the console says, in English and Chinese: one catalogue, words.json, both languages beside each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Words by key and language."""
    text = files("headrace.web.console").joinpath("words.json").read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, str]] = json.loads(text)
    return found


def say(language: Language, key: str, **values: object) -> str:
    """The words of `key`; raises KeyError where there are none."""
    words = catalogue()[key][language]
    return words.format_map(values) if values else words


def name(language: Language, kind: str, value: str) -> str:
    """The words for a value that the store holds, or the value where others' parts chose it."""
    found = catalogue().get(f"{kind}.{value}")
    return value if found is None else found[language]


def chosen(wanted: str | None, accepted: str) -> Language:
    """The language that was `wanted`, else the first known one of an Accept-Language header, else English."""
    for one in (wanted or "", *(part.partition(";")[0].strip() for part in accepted.split(","))):
        for language in LANGUAGES:
            if one.lower().partition("-")[0] == language:
                return language
    return "en"
