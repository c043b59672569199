"""Labels that a recipe lists are edited in their place; everything else of the file stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import NotFound
from headrace.recipe import read
from headrace.recipe.labels import add_label, replace_labels

BLOCK = """\
name: shop  # ours
tasks:
  intent:
    # what users want
    labels:
      - refund   # money
      - parcel
      - 'late'   # quoted
      - other
  mood: {base: all-MiniLM-L6-v2}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "headrace.yaml"
    found.write_text(BLOCK, encoding="utf-8")
    return found


def test_a_label_joins_at_the_end_once(path: Path) -> None:
    assert add_label(path, "intent", "invoice")
    assert not add_label(path, "intent", "invoice")
    assert read(path).task("intent").labels == ("refund", "parcel", "late", "other", "invoice")
    assert path.read_text(encoding="utf-8").count("#") == BLOCK.count("#")


@pytest.mark.parametrize(
    ("old", "new", "labels"),
    [
        (("parcel",), "packet", ("refund", "packet", "late", "other")),
        (("parcel", "late"), "delivery", ("refund", "delivery", "other")),
        (("late", "other"), "refund", ("refund", "parcel")),
        (("nothing",), "packet", ("refund", "parcel", "late", "other")),
    ],
)
def test_the_new_name_stands_where_the_first_old_one_stood(
    path: Path, old: tuple[str, ...], new: str, labels: tuple[str, ...]
) -> None:
    changed = replace_labels(path, "intent", old, new)
    assert read(path).task("intent").labels == labels
    assert changed == (labels != ("refund", "parcel", "late", "other"))
    text = path.read_text(encoding="utf-8")
    assert all(said in text for said in ("# ours", "# what users want", "# money"))


def test_a_task_that_lists_none_stays_as_it_is_and_an_unknown_one_is_said(path: Path) -> None:
    assert not add_label(path, "mood", "glad")
    assert path.read_text(encoding="utf-8") == BLOCK
    with pytest.raises(NotFound, match="no task 'intend'"):
        add_label(path, "intend", "glad")
