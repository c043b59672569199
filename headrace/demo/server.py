"""A server of its own process, as it runs in earnest: training never shares a process with it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2

from headrace.errors import HeadraceError

READY_SECONDS = 120


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run `headrace serve` for the project in `folder`; gives its URL once it answers, ends it afterwards.

    Raises HeadraceError with what the server said where it does not come up.
    """
    port = _free_port()
    log = folder / "server.log"
    with open(log, "wb") as out:
        command = [sys.executable, "-m", "headrace", "--project", str(folder), "serve", "--port", str(port)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            _await_ready(url, process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx2.TransportError:
            pause = 0.1
        else:
            pause = 0.2
        time.sleep(pause)
    said = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
    raise HeadraceError(f"the server did not come up: {said or 'it said nothing'}.", where=str(log))


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
