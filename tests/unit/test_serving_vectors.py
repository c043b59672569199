"""Vectors of passages on disk: embedded once, in any process; a damaged file costs time alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.models.tasks.embed import sentences
from headrace.serving.vectors import MOST_FILES, Vectors


class Counting:
    """Embeds a text as its letters' codes, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[len(text), ord(text[0])] for text in texts], np.float32) / np.float32(100)


def test_each_text_is_embedded_once_also_after_a_restart(tmp_path: Path) -> None:
    embed = Counting()
    first = Vectors(tmp_path, embed).of(["one", "two", "one"])
    again = Vectors(tmp_path, embed)
    assert np.array_equal(again.of(["one", "two", "one"]), first)
    assert again.of(["three"]).shape == (1, 2)
    assert embed.asked == ["one", "two", "three"]


def test_a_damaged_file_is_embedded_anew(tmp_path: Path) -> None:
    embed = Counting()
    made = Vectors(tmp_path, embed).of(["one"])
    for file in tmp_path.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:40])
    assert np.array_equal(Vectors(tmp_path, embed).of(["one"]), made)
    assert embed.asked == ["one", "one"]


def test_many_files_become_one(tmp_path: Path) -> None:
    embed = Counting()
    kept = Vectors(tmp_path, embed)
    for number in range(MOST_FILES + 1):
        kept.of([f"text {number}"])
    Vectors(tmp_path, embed)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    Vectors(tmp_path, embed).of(["text 3"])
    assert len(embed.asked) == MOST_FILES + 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Send it back within 30 days. We pay for the parcel, too, of course!", 2),
        ("三十天内可以把商品寄回来。运费由我们承担，请放心。", 2),
        ("Yes. It is sent back to the same card within a week.", 1),
        ("no stop here", 1),
        ("", 0),
    ],
)
def test_sentences_are_as_long_as_one(text: str, parts: int) -> None:
    found = sentences(text)
    assert len(found) == parts
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
