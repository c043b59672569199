"""What every request passes: its id, the headers of its response, its count, and the net under all errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from headrace.web.api.metrics import Metrics
from headrace.web.api.problems import INTERNAL

# Nothing that we send is to be run, framed, sniffed, kept or told on; /docs adds its own style.
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_RAW = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}
CLIENT_GONE = 499


class Edge:
    """ASGI middleware; `ids` makes request ids, which are logged and sent as Request-Id."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        log: FilteringBoundLogger,
        ids: Callable[[], str] = lambda: f"req_{os.urandom(8).hex()}",
    ) -> None:
        self._app, self._metrics, self._log, self._ids = app, metrics, log, ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; what is no HTTP request passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(send, self._ids())
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=exchange.request_id)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.status = CLIENT_GONE
        except Exception:
            self._log.exception("request failed")
            if exchange.status:
                raise
            await INTERNAL.response(Request(scope))(scope, receive, exchange.send)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.observe(route, exchange.status, time.perf_counter() - began)


class _Exchange:
    """One response on its way out."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id, self.status = send, request_id, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name.lower() for name, _ in message.get("headers", ())}
            more = [(name, value) for name, value in _RAW.items() if name not in present]
            more.append((b"request-id", self.request_id.encode()))
            message["headers"] = [*message.get("headers", ()), *more]
        await self._send(message)
