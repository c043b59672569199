"""A project that finds passages, on the tiny base: a FAQ of small words, two channels, private passages."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

from tiny_base import make_tiny_base

from headrace.project import Project
from headrace.records import Document, Passage

AT = datetime(2026, 3, 1, tzinfo=UTC)
RECIPE = """\
name: small
seed: 3
tasks:
  find: {{kind: embed, base: {base}, longest: 48}}
channels:
  desk: {{tasks: [find], language: en}}
  forum: {{tasks: [find], language: en}}
support: {{search: find}}
gate: {{margin: 40}}
"""
WORDS = [
    "order",
    "pay",
    "money",
    "refund",
    "card",
    "good",
    "bad",
    "when",
    "why",
    "shoe",
    "shirt",
    "ship",
    "box",
    "late",
    "lost",
    "size",
    "red",
    "blue",
    "green",
]


def passage(name: str, title: str, text: str, channel: str | None = None) -> Passage:
    """A passage of a document of its own."""
    return Passage(name, f"doc_{name}", channel, "en", title, text, 0, AT)


def faq(count: int, *, seed: int = 1) -> list[Passage]:
    """Questions and answers; every fourth belongs to one channel alone, by turns."""
    drawn, found = random.Random(seed), []
    for i in range(count):
        one, two, three, four = drawn.sample(WORDS, 4)
        channel = None if i % 4 else ("forum" if i % 8 else "desk")
        title, text = f"how {one} {two} {three}?", f"the {one} is {two}. not {three} it {four}, {i}"
        found.append(passage(f"p{i}", title, text, channel))
    return found


def put(project: Project, passages: list[Passage]) -> None:
    """Store passages, each in a document."""
    for one in passages:
        document = Document(one.document, "faq", one.id, one.title, "en", one.channel, one.id, AT)
        project.store.documents.put(document, [one])


def make_search_project(folder: Path, passages: list[Passage]) -> Project:
    """A project that holds these passages; no turn has been."""
    base = make_tiny_base(folder.parent / "tiny-base")
    Project.init(folder, recipe=RECIPE.format(base=base)).close()
    project = Project(folder)
    put(project, passages)
    return project
