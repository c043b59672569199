"""A peer's end of the pipe: JSON lines in, JSON lines out. The standard library alone, any environment.

`serve({"open": open_model, "time": time_it})` calls the function named by "do" with the other entries; what
it returns, a dict, goes back. Whatever a library prints goes to the other stream.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

if os.environ.get("HEADRACE_PEER_CORES"):  # before any library starts its threads
    os.sched_setaffinity(0, {int(core) for core in os.environ["HEADRACE_PEER_CORES"].split(",")})


def serve(functions: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = dict(functions[asked.pop("do")](**asked))
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def cpu_seconds(work: Callable[[], object], times: int) -> dict[str, float]:
    """What `work` costs of the processor, all threads of the process, over `times` calls."""
    began, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        work()
    return {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - wall}
