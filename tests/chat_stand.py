"""An OpenAI-style endpoint in a thread whose answers are scripted; it keeps every request that it got."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[dict[str, Any]], "Answer"]


@dataclass(frozen=True)
class Answer:
    """What is sent for one request: `pieces` of text as events, or a bare `body`; `drop` ends without an end."""

    pieces: Sequence[str] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    pause: float = 0.0
    wait: float = 0.0
    drop: bool = False
    finish: str = "stop"


@dataclass
class Scripted:
    """A running endpoint: its `url` and the requests it got, each with its headers and its body."""

    url: str
    requests: list[tuple[dict[str, str], str]] = field(default_factory=list)

    @property
    def prompts(self) -> list[str]:
        """The bodies as they came."""
        return [body for _, body in self.requests]


@contextmanager
def scripted(script: Script) -> Iterator[Scripted]:
    """An endpoint that answers by `script`, which is given the request's body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            stand.requests.append((dict(self.headers), body))
            try:
                _send(self, script(json.loads(body)))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    stand = Scripted(f"http://127.0.0.1:{server.server_port}/v1")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield stand
    finally:
        server.shutdown()
        server.server_close()


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    time.sleep(answer.wait)
    handler.send_response(answer.status)
    for name, value in ({"Content-Type": "text/event-stream; charset=utf-8"} | answer.headers).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.close_connection = True
    if answer.body is not None:
        handler.wfile.write(answer.body)
        return
    for piece in answer.pieces:
        handler.wfile.write(event({"delta": {"content": piece}, "finish_reason": None}))
        handler.wfile.flush()
        time.sleep(answer.pause)
    if not answer.drop:
        handler.wfile.write(event({"delta": {}, "finish_reason": answer.finish}) + b"data: [DONE]\n\n")


def event(choice: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b": comment\ndata: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"
