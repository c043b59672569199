"""Rows that cannot be used go to quarantine with the reason and the place, and the others come in."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from spoilt_project import project, served, source, state

from headrace.data.collect import Collected
from headrace.project import Project

__all__ = ["project", "served"]  # fixtures
pytestmark = pytest.mark.xdist_group("bad-input")


@dataclass(frozen=True)
class Spoilt:
    """A file of which `good` rows can be used, and why the others cannot: reason, place and detail."""

    content: bytes
    reason: str
    place: str
    detail: str
    good: int = 1
    name: str = "desk.jsonl"
    options: tuple[tuple[str, str], ...] = ()


def lines(*rows: object) -> bytes:
    """Rows as JSON lines; a text is a line as it stands."""
    said = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return "\n".join([*said, json.dumps({"text": "all is well", "label": "rollback"})]).encode()


SPOILT = {
    "a wrong encoding": Spoilt(
        "text,label\nall is well,a\nschön,b\n".encode("latin-1"),
        "undecodable", "data/desk.csv:3", "byte 4", name="desk.csv", options=(("encoding", "utf-8"),),
    ),
    "ragged rows": Spoilt(
        b"text,label\nall is well,a\none,two,three\n", "ragged row", "data/desk.csv:3", "3 fields, but 2",
        name="desk.csv",
    ),
    "a quote that never closes": Spoilt(
        b'text,label\n"never closed,a\nall is well,b\n', "lone quote", "data/desk.csv:2", "never closes",
        name="desk.csv",
    ),
    "NUL bytes": Spoilt(
        b"text,label\nall is well,a\nwi\x00th,b\n", "NUL bytes", "data/desk.csv:3", "1 in the line",
        name="desk.csv",
    ),
    "a field of 50 MB": Spoilt(
        b"text,label\n" + b"x" * 50_000_000 + b",a\nall is well,b\n", "too large", "data/desk.csv:2",
        "50,000,002 bytes", name="desk.csv",
    ),
    "a row that stands twice": Spoilt(
        lines({"text": "twice", "label": "rollback"}, {"text": "twice", "label": "rollback"}),
        "duplicate", "data/desk.jsonl:2", "data/desk.jsonl:1", good=2,
    ),
    "a broken line of JSON": Spoilt(
        lines({"text": "first", "label": "rollback"}, '{"text": "broken'),
        "invalid JSON", "data/desk.jsonl:2", "at character", good=2,
    ),
    "half a character": Spoilt(
        lines('{"text": "half \\ud83d", "label": "rollback"}'), "undecodable", "data/desk.jsonl:1", "half",
    ),
    "a list where a text belongs": Spoilt(
        lines({"text": ["a", "b"], "label": "rollback"}), "not text", "data/desk.jsonl:1", "list",
    ),
    "a row without its field": Spoilt(
        lines({"text": "first", "label": "rollback"}, {"label": "rollback"}),
        "missing field", "data/desk.jsonl:2", "'text'", good=2,
    ),
    "a text beyond the recipe's longest": Spoilt(
        lines({"text": "long " * 1000, "label": "rollback"}), "too long", "data/desk.jsonl:1", "at most 4,000",
    ),
    "an empty text": Spoilt(lines({"text": " ", "label": "rollback"}), "empty", "data/desk.jsonl:1", "no text"),
    "two labels for one text": Spoilt(
        lines({"text": "torn", "label": "rollback"}, {"text": "torn", "label": "create_key"}),
        "conflicting labels", "data/desk.jsonl:2", "'create_key' 1 times",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_rows_that_cannot_be_used_go_to_quarantine_and_the_others_come_in(
    name: str, project: Project
) -> None:
    spoilt = SPOILT[name]
    act = source(project, spoilt.content, spoilt.name, **dict(spoilt.options))
    before, known = state(project), {entry.id for entry in project.quarantine(limit=10**6)}
    assert isinstance(act(), Collected)
    cleaned = project.clean()
    assert cleaned.examples - cleaned.removed == spoilt.good
    fresh = [entry for entry in project.quarantine(limit=10**6) if entry.id not in known]
    entry = next(entry for entry in fresh if entry.place == spoilt.place)
    assert entry.reason == spoilt.reason
    assert spoilt.detail in f"{entry.detail} {entry.content}"
    after = state(project)
    kept = {table: rows for table, rows in before.items() if table not in ("rows", "examples", "masked")}
    assert [table for table, rows in kept.items() if not rows <= after[table]] == []
    assert project.predict(["a key pls"], task="intent", channel="desk")
