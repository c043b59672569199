"""uvicorn's HTTP protocol with bounds that it lacks: seconds for a request to arrive, and bytes of its head.

Without them a client that sends a byte a second holds a connection for ever, and a header without an end
fills the memory. The route that nearly every request takes is answered from here, past the framework.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.web.api import stream
from headrace.web.api.edge import HEADERS
from headrace.web.api.fast_path import FastPath, Headers
from headrace.web.api.problems import KINDS, MEDIA_TYPE, Problem

HEAD_BYTES = 16_384
STREAMED = 1024


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request is not there in full after `receive_seconds`, with 408 if it can.

    The seconds run from the connection's first moment, or from the first byte after a response. Of a stream
    they run from its last line or its last `STREAMED` bytes, and not while it is us who do not read.
    """

    receive_seconds: float = 10.0

    _deadline: asyncio.TimerHandle | None = None
    _held: stream.Held | None = None
    _streams, _arrived = False, 0
    _head, _in_head, _refused = 0, True, False

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._fast_path: FastPath | None = getattr(self.app, "fast_path", None)

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
            if not self._goes_straight():
                super().on_headers_complete()
                self._streams, self._arrived = self.scope["path"] == stream.PATH, 0
                if self._streams or self.scope["path"].startswith(stream.WIDGET):
                    self._held = stream.Held(abort=self.transport.abort)
                    cast(dict[str, object], self.scope)[stream.HELD] = self._held

    def shutdown(self) -> None:
        """End, once what is under way is done; a stream is told, since its sender might go on for ever."""
        super().shutdown()
        if self._held is not None:
            self._held.stopping.set()

    def on_body(self, body: bytes) -> None:
        """A piece of the body has come."""
        if not self._refused:
            super().on_body(body)
            if self._streams:
                self._arrived += STREAMED if b"\n" in body else len(body)
                if self._arrived >= STREAMED:
                    self._arrived = 0
                    self._disarm()
                    self._arm()

    def on_message_complete(self) -> None:
        """The request has come in full: from here on it is ours to be quick."""
        self._disarm()
        self._in_head, self._head, self._streams = True, 0, False
        if not self._refused:
            super().on_message_complete()
            if isinstance(self.cycle, _Straight):
                self.cycle.begin()

    def _goes_straight(self) -> bool:
        """Take the request from the framework where it needs nothing of it and nothing is under way here."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if (
            self._fast_path is None
            or busy
            or self.flow.write_paused
            or self.parser.get_http_version() != "1.1"
        ):
            return False
        headers = self._fast_path.takes(self.parser.get_method(), self.url, self.headers)
        if headers is not None:
            self.cycle = _Straight(self, self._fast_path, headers)  # type: ignore[assignment]
        return headers is not None

    def _arm(self) -> None:
        if self._deadline is None and not self._refused:
            self._deadline = self.loop.call_later(self.receive_seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self._streams and self.flow.read_paused:
            self._disarm()
            self._arm()
            return
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


class _Straight:
    """A request that is answered straight from the protocol; to uvicorn one of its cycles."""

    __slots__ = (
        "_fast_path",
        "_headers",
        "_protocol",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
    )

    def __init__(self, protocol: BoundedProtocol, fast_path: FastPath, headers: Headers) -> None:
        self._protocol, self._fast_path, self._headers = protocol, fast_path, headers
        self.body, self.more_body, self.keep_alive = bytearray(), True, True
        self.disconnected = self.response_started = self.response_complete = False

    @property
    def message_event(self) -> _Straight:
        """What uvicorn sets where something happens to a request; nobody waits for it here."""
        return self

    def set(self) -> None:
        """Nobody waits."""

    def begin(self) -> None:
        """Answer, once the body has come in full."""
        date = b"".join(b"%b: %b\r\n" % pair for pair in self._protocol.server_state.default_headers)
        self._fast_path.answer(self._headers, bytes(self.body), date, self.respond)

    def respond(self, response: bytes) -> None:
        """Send a whole response, unless the client has gone."""
        transport = self._protocol.transport
        self.response_started = self.response_complete = True
        if self.disconnected or transport.is_closing():
            return
        if not self.keep_alive:
            response = response.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
        transport.write(response)
        if not self.keep_alive:
            transport.close()
        self._protocol.on_response_complete()


def _response(problem: Problem) -> bytes:
    kind, body = KINDS[problem.name], problem.body("/")
    lines = [f"HTTP/1.1 {kind.status} {kind.title}", f"content-type: {MEDIA_TYPE}"]
    lines += [f"{name.lower()}: {value}" for name, value in HEADERS.items()]
    lines += [f"content-length: {len(body)}", "connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
