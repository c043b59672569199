"""A project whose partner's customers come by webhook, and a receiver that remembers what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support_stand import RECIPE, PretendGuarantee, Stand, fill

from headrace.project import Project
from headrace.recipe.sections import WebhookRecipe
from headrace.store.deliveries import Delivery


def hooked(folder: Path, url: str = "https://partner.example/said") -> Stand:
    allow = urlsplit(url).netloc
    recipe = RECIPE.replace("  partner: {", f"  partner: {{webhook: {{url: {url!r}, allow: [{allow!r}]}}, ")
    Project.init(folder, recipe=recipe).close()
    stand = Stand(folder, PretendGuarantee())
    stand.project.webhook_secrets("partner", random_bytes=lambda n: b"n" * n)
    fill(stand.project)
    return stand


class Told:
    """A receiver that answers with the statuses it was given, the last for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.came = list(statuses), list[tuple[str, Any]]()

    def __call__(self, hook: WebhookRecipe, body: bytes, headers: Mapping[str, str]) -> int:
        self.came.append((headers["webhook-id"], json.loads(body)))
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


def put(stand: Stand, name: str = "dlv_1", thread: str = "t1", text: str = "How do I roll back?") -> None:
    body = json.dumps({"id": name, "thread": thread, "text": text})
    now = stand.clock()
    stand.project.store.deliveries.add([Delivery(name, "partner", "in", now, body, next=now)])


@contextmanager
def receiver(came: list[tuple[bytes, dict[str, str]]]) -> Iterator[str]:
    """A server of a partner's that takes all; bodies and headers come into `came`."""

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.append((body, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Takes) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/said"
        server.shutdown()
