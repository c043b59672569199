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


def serve(functions: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """Answer until the input ends."""
    _pin()
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


def _pin() -> None:
    """Keep all threads on the cores asked for.

    After the libraries are loaded: onnxruntime, imported while there is one core, stays a third slower.
    """
    cores = os.environ.get("HEADRACE_PEER_CORES", "")
    if cores:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), {int(core) for core in cores.split(",")})


def cpu_seconds(work: Callable[[], object], times: int) -> dict[str, float]:
    """What `work` costs of the processor, all threads of the process, over `times` calls."""
    began, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        work()
    return {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - wall}
