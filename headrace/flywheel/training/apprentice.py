"""A training in a process of its own: a lesson a line comes in, what became of it goes out, a line each.

It ends where its input ends, so also when the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import json
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any, TextIO

from headrace import plugins
from headrace.flywheel.training.reach import reach_of
from headrace.serving.engine import Engine
from headrace.serving.loader import digests_of
from headrace.tuning.lesson import Lesson, Trained


def answer(engine: Engine, line: str) -> str:
    """The line that says what a lesson taught, by one thread, or why it could not.

    Where a `graph` is given, the adapter's radius.json is learned through it, too.
    """
    try:
        asked = json.loads(line)
        lesson = Lesson.from_json(asked["lesson"])
        tuning = plugins.require("headrace.tuning.learning", verb="Training", extra="train")
        trained: Trained = tuning.learn(lesson, threads=1)
        return json.dumps({"trained": trained.to_json(), "reach": _reach(engine, asked, lesson, trained)})
    except Exception as error:  # whoever asked trains it again itself and raises it with its cure
        return json.dumps({"failed": f"{type(error).__name__}: {error}"})


def _reach(engine: Engine, asked: dict[str, Any], lesson: Lesson, trained: Trained) -> str | None:
    if not asked["graph"]:
        return None
    graph = {name: Path(path) for name, (path, _) in asked["graph"].items()}
    digests = digests_of(trained.files) | {name: digest for name, (_, digest) in asked["graph"].items()}
    learned = reach_of(engine, {**trained.files, **graph}, digests, lesson.training, seed=lesson.seed)
    return b64encode(learned).decode("ascii")


def serve(lessons: TextIO, answers: TextIO) -> None:
    """Answer lessons one after another until there are no more, or nobody hears."""
    engine = Engine(remembered=0)
    with contextlib.suppress(BrokenPipeError):
        for line in lessons:
            print(answer(engine, line), file=answers, flush=True)


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not stand between answers
        serve(sys.stdin, sys.__stdout__ or sys.stderr)
