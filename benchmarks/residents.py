"""What a fresh process holds: `python -m benchmarks.residents PROJECT TEXTS.json` prints its memory as JSON.

It serves the project as a server does, answers the texts in batches and looks at what it occupies.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

from benchmarks.synthetic import TASK
from headrace.feedback.memory import Memory
from headrace.project import Project
from headrace.serving.engine import Ask, Engine
from headrace.serving.live import Live


def resident() -> int:
    """Bytes of this process that are in memory, those of files mapped included."""
    return _said(Path("/proc/self/status"), "VmRSS")


def highest(pid: int) -> int:
    """The most bytes that a process has had in memory since its program began; 0 where it has ended.

    The system's own figure for an ended child counts what its parent had at the fork.
    """
    try:
        return _said(Path(f"/proc/{pid}/status"), "VmHWM")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _said(path: Path, name: str) -> int:
    lines = path.read_text("utf-8").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def opened(project: Project) -> tuple[Engine, Live]:
    """An engine that remembers no answer, and what keeps it equal to the project's releases."""
    engine = Engine(remembered=0)
    live = Live(project.store, project.recipe, Memory(), engine.swap, threads=1)
    live.reload()
    return engine, live


def main(folder: str, texts: str) -> None:
    """Serve, answer, and say what is occupied and how long it took."""
    began = time.perf_counter()
    project = Project(folder)
    engine, _ = opened(project)
    loaded = time.perf_counter() - began
    channels = list(project.recipe.channels)
    asked = json.loads(Path(texts).read_text("utf-8"))
    asks = [Ask(TASK, channels[i % len(channels)], text) for i, text in enumerate(asked)]
    for _ in range(2):
        for start in range(0, len(asks), 32):
            engine.answer(asks[start : start + 32])
    gc.collect()
    print(json.dumps({"bytes": resident(), "seconds": loaded}))


if __name__ == "__main__":
    main(*sys.argv[1:])
