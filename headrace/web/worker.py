"""One of several server processes of a project: python -m headrace.web.worker FOLDER HOST PORT

Started by `workers.supervise` alone. Says "ready" on stdout once it listens, and ends when its stdin does:
whoever started it is gone then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from headrace.project import Project
from headrace.web.assembly import assembled
from headrace.web.customers import Customers
from headrace.web.server import serve

READY = "ready"


def main(folder: str, host: str, port: str) -> None:
    """Serve until a signal, or until stdin ends."""
    threading.Thread(target=_end_with_stdin, name="headrace-orphan", daemon=True).start()
    project = Project(Path(folder))
    try:
        with assembled(project, several=True) as service:
            serve(
                service,
                project.store,
                host=host,
                port=int(port),
                ready=_say_ready,
                shared=True,
                parts=[Customers.of(project, service)],
            )
    finally:
        project.close()


def _say_ready(_url: str) -> None:
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])
