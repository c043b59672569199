"""A process that has everything imported and forks a child for each call, so that a kill costs no start.

A child says what it acknowledges, a line each, in a file that outlives it. What forks has one thread alone:
sessions, pools and BLAS begin in the children.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

Say = Callable[..., None]
HEAVY = (
    "onnx",
    "onnxruntime",
    "headrace.project",
    "headrace.tuning.train",
    "headrace.models.methods.lora_torch",
    "small_project",
)


@dataclass(frozen=True)
class Done:
    """What became of a call: `said` are its acknowledgements, `result` what it gave back where it ended.

    `imported` counts modules that it had to import; the next call has them.
    """

    said: list[list[Any]]
    killed: bool
    seconds: float
    result: Any = None
    error: str = ""
    imported: int = 0

    def value(self) -> Any:
        """The result; fails with the child's own traceback where there is none."""
        assert not self.killed
        assert not self.error, self.error
        return self.result


class Zygote:
    """Runs functions of test modules, each in a child of its own; for one `with` block."""

    def __enter__(self) -> Zygote:
        import headrace

        root = Path(headrace.__file__).parents[1]
        paths = os.pathsep.join([str(root), str(Path(__file__).parent)])
        few = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **few, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def call(self, function: Callable[..., Any], *given: Any, kill_after: float | None = None) -> Done:
        """`function(say, *given)` in a child that is killed after `kill_after` seconds; all of it JSON."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        name = f"{function.__module__}:{function.__qualname__}"
        self._process.stdin.write(json.dumps([name, given, kill_after]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks has died"
        return Done(**json.loads(line))


def main() -> None:
    """Read a call a line, fork, wait or kill, and write what became of it."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for name in HEAVY:
        importlib.import_module(name)
    for line in sys.stdin:
        answers.write(json.dumps(_fork(*json.loads(line))) + "\n")


def _fork(name: str, given: list[Any], kill_after: float | None) -> dict[str, Any]:
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    assert threads == 1, "what is forked beside other threads may wait for one of them for ever"
    with tempfile.TemporaryFile("w+") as lines:
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _work(name, given, lines)
        killed = _wait(pid, None if kill_after is None else began + kill_after)
        seconds = time.monotonic() - began
        lines.seek(0)
        said = [json.loads(line) for line in lines.read().split("\n")[:-1]]
    end = said.pop() if said and isinstance(said[-1], dict) else {}
    imported = end.pop("imported", ())
    for module in imported:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    if not killed and not end:
        end = {"error": "it died by itself"}
    return {"said": said, "killed": killed, "seconds": seconds, "imported": len(imported), **end}


def _wait(pid: int, until: float | None) -> bool:
    """Whether the child had to be killed."""
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if until is not None and time.monotonic() >= until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return True
        time.sleep(0.001)
    return False


def _work(name: str, given: list[Any], lines: TextIO) -> None:
    """The child: call, say, and end without a look at what its parent left open."""

    def say(*what: Any) -> None:
        os.write(lines.fileno(), (json.dumps(what) + "\n").encode())

    before = set(sys.modules)
    end: dict[str, Any] = {}
    try:
        module, _, function = name.partition(":")
        end["result"] = getattr(importlib.import_module(module), function)(say, *given)
    except BaseException:
        end["error"] = traceback.format_exc()
    end["imported"] = sorted(set(sys.modules) - before)
    os.write(lines.fileno(), (json.dumps(end) + "\n").encode())
    os._exit(0)


if __name__ == "__main__":
    main()
