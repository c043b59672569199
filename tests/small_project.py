"""A whole project in a folder, on the tiny base: four intents that words give away, two channels."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tiny_base import make_tiny_base

from headrace.demo.questions import Question
from headrace.project import Project
from headrace.records import Clock, IdMaker, random_id, utc_now

WORDS = {
    "create_key": ["new key", "a key", "api key", "another key", "key for a partner"],
    "collect_files": ["csv file", "the file", "import files", "file with rows", "folder of files"],
    "rollback": ["undo it", "go back", "previous release", "take back the release", "the old one again"],
    "slow_answers": ["slow", "takes long", "late answers", "seconds to answer", "too slow"],
}
INTENTS = tuple(WORDS)
FRAMES = {
    "desk": [
        "how do i get {}",
        "we want {} today",
        "please {} for our shop",
        "what about {} now",
        "is {} possible",
    ],
    "forum": ["{} pls", "anyone knows {} ??", "help {} asap", "lol {} again", "{} 怎么办"],
}
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
ASIDES = ["", " thanks", " and why", " on monday", " for two people", " in china", " if you can", " or not"]


def rows(channel: str, *, seed: int = 5, each: int = 30) -> list[dict[str, str]]:
    """Distinct rows of a channel: `each` an intent, a third of them held out."""
    drawn = random.Random(seed)
    found: list[dict[str, str]] = []
    for intent, words in WORDS.items():
        texts = [f.format(w) + a for f in FRAMES[channel] for w in words for a in ASIDES]
        for number, text in enumerate(drawn.sample(texts, each)):
            found.append({"text": text, "label": intent, "split": "test" if number % 3 == 0 else "train"})
    return found


def live_questions(channel: str = "desk") -> list[Question]:
    """Questions that the project has never seen."""
    seen = {row["text"] for row in rows(channel)}
    made = [(f.format(w), intent) for intent, words in WORDS.items() for w in words for f in FRAMES[channel]]
    return [Question(text, intent) for text, intent in made if text not in seen]


def make_project(
    folder: Path,
    *,
    clock: Clock = utc_now,
    ids: IdMaker = random_id,
    margin: float = 40.0,
    ready: bool = True,
) -> Project:
    """A project whose sources are written; collected and cleaned where `ready`."""
    base = make_tiny_base(folder.parent / "tiny-base")
    Project.init(folder, recipe=RECIPE.format(base=base, margin=margin)).close()
    (folder / "data").mkdir()
    for channel in FRAMES:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(channel))
        (folder / "data" / f"{channel}.jsonl").write_text(lines, encoding="utf-8")
    project = Project(folder, clock=clock, ids=ids)
    if ready:
        project.collect()
        project.clean()
    return project
