"""A whole project in a folder, on the tiny base: four intents of the help desk, two channels."""

from __future__ import annotations

import json
from pathlib import Path

from headrace.demo import helpdesk
from headrace.demo.questions import Question
from headrace.project import Project
from headrace.records import Clock, IdMaker, random_id, utc_now
from tiny_base import make_tiny_base

INTENTS = ("create_key", "collect_files", "rollback", "slow_answers")
RECIPE = """\
name: small
seed: 3
tasks:
  intent: {{base: {base}, longest: 48}}
channels:
  desk: {{tasks: [intent], language: en}}
  forum: {{tasks: [intent], language: en}}
sources:
  desk: {{channel: desk, task: intent, options: {{path: data/desk.jsonl, split: split}}}}
  forum: {{channel: forum, task: intent, options: {{path: data/forum.jsonl, split: split}}}}
train: {{method: head}}
gate: {{margin: {margin}}}
"""
SOURCES = {"desk": "helpdesk-en", "forum": "community-en"}


def make_project(
    folder: Path, *, clock: Clock = utc_now, ids: IdMaker = random_id, margin: float = 40.0, ready: bool = True
) -> Project:
    """A project whose sources are written; collected and cleaned where `ready`."""
    base = make_tiny_base(folder.parent / "tiny-base")
    Project.init(folder, recipe=RECIPE.format(base=base, margin=margin)).close()
    (folder / "data").mkdir()
    for channel, source in SOURCES.items():
        rows = [row for row in helpdesk.material(source).rows if row["label"] in INTENTS]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "data" / f"{channel}.jsonl").write_text(lines, encoding="utf-8")
    project = Project(folder, clock=clock, ids=ids)
    if ready:
        project.collect()
        project.clean()
    return project


def live_questions(channel: str = "desk") -> list[Question]:
    """Questions that the project has never seen."""
    return [q for q in helpdesk.material(SOURCES[channel]).live if q.label in INTENTS]
