"""One turn in a process of its own at low priority: python -m headrace.web.turning FOLDER

Started by `turns.Runner` alone. Says on stdout, in one line of JSON, how it ended. SIGTERM or the end of stdin
(whoever started it is gone then) stop it; what is done stays, and the next turn goes on from there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from headrace.errors import AlreadyRunning, HeadraceError
from headrace.project import Project

NICE = 10
"""What a turn steps back for whoever else wants the processor: a tenth of a core that both want is left to it."""


def main(folder: str) -> int:
    """Run a turn; the exit code is that of `headrace turn`."""
    os.nice(NICE)
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_stdin, name="headrace-orphan", daemon=True).start()
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not fill the pipe
        told, code = turned(Path(folder))
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    return code


def turned(folder: Path) -> tuple[dict[str, Any], int]:
    """What became of a turn of the project in `folder`, and its exit code."""
    project, untold = Project(folder), True
    try:
        flywheel = project.flywheel
        untold = False  # from here on the flywheel itself tells what fails
        report = flywheel.turn().report
        return {"turn": report and report.turn, "said": report and report.sentence}, 0
    except KeyboardInterrupt:
        return {"stopped": True}, 130
    except AlreadyRunning as error:
        return {"busy": error.message}, error.exit_code
    except HeadraceError as error:
        return {"failed": error.message, "untold": untold}, error.exit_code
    except Exception as error:
        return {"failed": type(error).__name__, "untold": untold}, 1
    finally:
        project.close()


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
