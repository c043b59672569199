"""The verbs that tests kill, as functions of a folder; each says what it may call acknowledged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from small_project import FRAMES, INTENTS, live_questions, make_project
from zygote import Say

from headrace.project import Project

MANY = {"desk": 2100, "forum": 400}
QUESTIONS = 8


def begin(say: Say, folder: str, ready: bool) -> None:
    """A project of few rows, collected and cleaned where `ready`."""
    make_project(Path(folder), ready=ready).close()


def write_many(folder: Path) -> None:
    """Give both sources rows for several transactions, some of them broken, repeated or private."""
    for channel, count in MANY.items():
        rows = [_row(channel, i) for i in range(count)]
        rows[7] = rows[5]
        lines = [json.dumps(row) for row in rows]
        lines[3] = '{"text": "never closed'
        (folder / "data" / f"{channel}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(channel: str, i: int) -> dict[str, str]:
    text = f"{channel} {i} about order {i * 7919 % 100_003}"
    text = f"{text}, mail me at u{i}@example.org" if i % 9 == 0 else text
    return {"text": text, "label": INTENTS[i % 4], "split": "test" if i % 11 == 0 else ""}


def write_more(folder: Path) -> None:
    """Rows that come in before the second turn."""
    with open(folder / "data" / "desk.jsonl", "a", encoding="utf-8") as file:
        for i in range(40):
            frame, word = FRAMES["desk"][i % 5], ("undo it", "csv file", "slow", "new key")[i % 4]
            label = ("rollback", "collect_files", "slow_answers", "create_key")[i % 4]
            row = {"text": f"{frame.format(word)} number {i}", "label": label, "split": "train"}
            file.write(json.dumps(row) + "\n")


def collect(say: Say, folder: str, said: list[list[Any]]) -> None:
    """Collect each source, then clean."""

    def heard(stage: str, done: int, total: int) -> None:
        if stage.startswith("collect "):
            say("rows", stage.removeprefix("collect "), done)
        elif stage == "clean":
            say("cleaned", done)

    project = Project(folder, progress=heard)
    for source in project.recipe.sources:
        project.collect([source])
    project.clean()
    project.close()


def train(say: Say, folder: str, said: list[list[Any]]) -> None:
    """Train the shared adapter, then a channel's own."""
    project = Project(folder)
    for channel in (None, "desk"):
        say("adapter", project.train("intent", channel).id)
    project.close()


def release(say: Say, folder: str, said: list[list[Any]]) -> None:
    """Release the shared adapter everywhere, then a channel's own."""
    project = Project(folder)
    for channel in ("", "desk"):
        adapter = project.store.history.adapters("intent", channel)[0]
        for pair in project.release(adapter):
            if pair.released:
                say("release", pair.channel, adapter.id)
    project.close()


def feedback(say: Say, folder: str, said: list[list[Any]]) -> None:
    """Ask and correct; what was acknowledged before is not said again."""
    project = Project(folder)
    known = {one[2] for one in said if one[0] == "feedback"}
    for number, question in enumerate(live_questions()[:QUESTIONS]):
        if question.text in known:
            continue
        (answer,) = project.predict([question.text], task="intent", channel="desk")
        say("answer", answer.id)
        given = project.add_feedback(answer.id, "correction", INTENTS[number % 4], person=f"p{number}")
        say("feedback", given.id, question.text)
    project.close()


def turn(say: Say, folder: str, said: list[list[Any]]) -> int:
    """Collect what came in, then turn."""
    project = Project(folder)
    project.collect()
    done = project.turn()
    say("turn", done.id)
    project.close()
    return sum(pair.released for pair in done.pairs)
