"""Why a label: words that speak for it and against it, English and Chinese; the nearest examples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.apps.support.explain import MOST, nearest, pieces, strongest

WORTH = {"refund": 0.4, "not": -0.3, "退款": 0.4, "不": -0.1}
asked: list[Sequence[str]] = []


def chances(texts: Sequence[str]) -> list[float]:
    asked.append(texts)
    return [0.5 + sum(worth for word, worth in WORTH.items() if word in text) for text in texts]


def test_words_for_and_against_come_from_one_call() -> None:
    asked.clear()
    text = "I don't want a refund, not now"
    found = pieces(text, chances)
    assert len(asked) == 1
    assert [piece.text for piece in found] == ["I", "don't", "want", "a", "refund", "not", "now"]
    assert [text[piece.start : piece.end] for piece in found] == [piece.text for piece in found]
    in_favour, against = strongest(found)
    assert [(piece.text, round(piece.weight, 6)) for piece in in_favour] == [("refund", 0.4)]
    assert [(piece.text, round(piece.weight, 6)) for piece in against] == [("not", -0.3)]


def test_chinese_is_left_out_by_pairs_and_shown_by_characters() -> None:
    found = {piece.text: piece.weight for piece in pieces("我要退款ok吗", chances)}
    assert list(found) == ["我", "要", "退", "款", "ok", "吗"]
    assert found["退"] == pytest.approx(0.4)
    assert found["款"] == pytest.approx(0.4)
    assert found["要"] == pytest.approx(0.2)  # its pair with the next broke the word, the one before did not
    assert found["我"] == found["ok"] == found["吗"] == 0
    assert [piece.text for piece in pieces("退", chances)] == ["退"]


@given(st.text(max_size=200))
@settings(max_examples=50, deadline=None)
def test_pieces_lie_in_the_text_in_order_and_are_few(text: str) -> None:
    found = pieces(text, chances)
    assert all(text[piece.start : piece.end] == piece.text for piece in found)
    assert all(one.end <= later.start for one, later in itertools.pairwise(found))


def test_a_long_text_has_longer_pieces() -> None:
    asked.clear()
    found = pieces("word " * 1000 + "refund", chances)
    assert len(found) <= MOST
    assert len(asked[0]) <= MOST + 1
    assert "refund" in strongest(found)[0][0].text
    assert pieces("...", chances) == ()


def test_the_nearest_examples_come_first() -> None:
    rows = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    found = nearest(np.array([0, 1], np.float32), rows, limit=2)
    assert [(near.place, round(near.similarity, 3)) for near in found] == [(1, 1.0), (2, 0.8)]
    assert nearest(np.zeros(2, np.float32), rows[:0]) == ()
