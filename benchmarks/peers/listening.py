"""A peer that is an HTTP server: a child process that stands still until it answers a text, and goes away.

`serve_http` speaks `lines`: "start" says where and how to ask, "stop" ends the server. In the template of a
request's body, `"TEXT"` with its quotes stands for the text as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from lines import serve

running: list[subprocess.Popen[bytes]] = []


def start_server(
    command: list[str], port: int, path: str, template: str, seconds: float, folder: str | None = None
) -> dict[str, object]:
    """Start `command` and wait until it has answered; raises where it ends or takes longer than `seconds`."""
    surroundings = os.environ | {"PYTHONSAFEPATH": "1"}
    running.append(subprocess.Popen(command, start_new_session=True, env=surroundings, cwd=folder))
    url, body = f"http://127.0.0.1:{port}{path}", template.replace('"TEXT"', json.dumps("Where is my card?"))
    until = time.monotonic() + seconds
    while True:
        if running[-1].poll() is not None:
            raise RuntimeError(f"the server ended with status {running[-1].returncode}")
        try:
            answer = _post(url, body)
            return {"url": url, "template": template, "answer": answer, "pid": running[-1].pid}
        except OSError as error:
            if time.monotonic() > until:
                raise RuntimeError(f"the server does not answer: {error}") from error
            time.sleep(0.5)


def _post(url: str, body: str) -> Any:
    asked = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=60) as response:  # noqa: S310
        return json.loads(response.read())


def stop_server() -> dict[str, object]:
    """End what was started, with the processes that it started."""
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    running.clear()
    return {}


def serve_http(start: Callable[..., dict[str, object]], **more: Callable[..., dict[str, object]]) -> None:
    """Answer "start" and "stop" until the input ends, then stop."""
    try:
        serve({"start": start, "stop": stop_server, **more})
    finally:
        stop_server()
