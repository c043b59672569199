"""The rules of benchmarks/data/paraphrases.jsonl."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "data" / "paraphrases.jsonl"
SETS = {"banking77": 3080, "smp2017_ecdt_zh": 667}
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about above after again all am an and any are as at be because been before being below between both
    but by can cannot could did do does doing don down during each few for from further get got had has have
    having he her here hers him his how i if in into is isn it its itself just let ll me more most my myself
    no nor not now of off on once only or other our ours out over own re s same she should so some such t than
    that the their them then there these they this those through to too under until up us very ve was we were
    what when where which while who whom why will with won would you your yours yourself im ive doesnt dont
    didnt cant wont hi hello please thanks""",
    )
)
STOP_CHARACTERS = frozenset("的了吗呢吧啊呀么一个我你您是在有和就不请把给下帮要想这那")


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]


def units(text: str, chinese: bool) -> set[str]:
    """Lower-cased words without stop words; in Chinese, characters."""
    if chinese:
        return set(re.findall(r"\w", text.lower())) - STOP_CHARACTERS
    return set(re.findall(r"[a-z0-9_]+", text.lower().replace("'", ""))) - STOP_WORDS


def jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def test_each_set_has_200_questions_with_3_rewordings_and_a_near_miss() -> None:
    found = lines()
    assert Counter(line["set"] for line in found) == dict.fromkeys(SETS, 200)
    assert len({(line["set"], line["row"]) for line in found}) == 400
    for line in found:
        assert set(line) == {"set", "row", "rewordings", "near_miss", "near_miss_intent"}
        assert 0 <= line["row"] < SETS[line["set"]]
        texts = [*line["rewordings"], line["near_miss"]]
        assert len(line["rewordings"]) == 3
        assert len({text.casefold() for text in texts}) == 4
        assert all(text == text.strip() != "" for text in texts)


@pytest.mark.skipif("HEADRACE_DATA" not in os.environ, reason="HEADRACE_DATA names no folder with the sets")
@pytest.mark.parametrize("name", list(SETS))
def test_rewordings_share_at_most_half_their_words_and_near_misses_have_another_intent(name: str) -> None:
    with open(Path(os.environ["HEADRACE_DATA"]) / name / "test.csv", encoding="utf-8", newline="") as file:
        originals = list(csv.DictReader(file))
    assert len(originals) == SETS[name]
    intents, chinese = {row["intent"] for row in originals}, name == "smp2017_ecdt_zh"
    for line in (line for line in lines() if line["set"] == name):
        original = originals[line["row"]]
        words = units(original["text"], chinese)
        assert max(jaccard(words, units(text, chinese)) for text in line["rewordings"]) <= 0.5, line
        assert jaccard(words, units(line["near_miss"], chinese)) >= 0.33, line
        assert line["near_miss_intent"] in intents - {original["intent"]}, line
