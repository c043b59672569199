"""uvicorn's HTTP protocol with bounds that it lacks: seconds for a request to arrive, and bytes of its head.

Without them a client that sends a byte a second holds a connection for ever, and a header without an end
fills the memory.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.web.api.edge import HEADERS
from headrace.web.api.problems import KINDS, MEDIA_TYPE, Problem

HEAD_BYTES = 16_384


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request is not there in full after `receive_seconds`, with 408 if it can.

    The seconds run from the connection's first moment, or from the first byte after a response.
    """

    receive_seconds: float = 10.0

    _deadline: asyncio.TimerHandle | None = None
    _head, _in_head, _refused = 0, True, False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, while the request's time and room last."""
        if self._refused:
            return
        if self._deadline is None:
            self._arm()
        self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > HEAD_BYTES:
            self._refuse(Problem("head-too-large", f"The head of a request has at most {HEAD_BYTES} bytes."))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._arm()

    def on_headers_complete(self) -> None:
        """The head has come."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_BYTES:
            self._refuse(Problem("head-too-large", f"The head of a request has at most {HEAD_BYTES} bytes."))
        if not self._refused:
            self._in_head, self._head = False, 0
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body has come."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has come in full: from here on it is ours to be quick."""
        self._disarm()
        self._in_head, self._head = True, 0
        if not self._refused:
            super().on_message_complete()

    def _arm(self) -> None:
        if self._deadline is None and not self._refused:
            self._deadline = self.loop.call_later(self.receive_seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._refuse(Problem("timeout", f"A request must arrive within {self.receive_seconds:g} s."))

    def _refuse(self, problem: Problem) -> None:
        """Answer, unless a response is under way, and close."""
        self._refused = True
        self._disarm()
        if self.transport.is_closing():
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        # To the request that is coming in: not to one that was answered already, nor to the one before it.
        if busy != self._in_head and not (busy and self.cycle.response_started):
            self.transport.write(_response(problem))
        self.transport.close()


def _response(problem: Problem) -> bytes:
    kind, body = KINDS[problem.name], problem.body("/")
    lines = [f"HTTP/1.1 {kind.status} {kind.title}", f"content-type: {MEDIA_TYPE}"]
    lines += [f"{name.lower()}: {value}" for name, value in HEADERS.items()]
    lines += [f"content-length: {len(body)}", "connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
