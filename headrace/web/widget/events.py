"""Server-sent events: a reply while it comes about, and whatever is said in a conversation later.

Who reads nothing for a minute is cut off. A stream ends after `LONGEST` seconds, so that a key that was revoked,
or an origin taken off the list, opens nothing any longer; the widget then asks again, after what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from headrace.errors import HeadraceError
from headrace.web.api.problems import of_error
from headrace.web.api.stream import HELD, Held, watched

LONGEST = 300.0
BEAT = 15.0
"""Seconds between two signs of life, without which a proxy takes a quiet stream for a dead one."""
MEDIA_TYPE = "text/event-stream"
Event = tuple[str, Any]
_HEADERS = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"x-accel-buffering", b"no"),  # nginx would keep events until a buffer is full
]


class Events(Response):
    """Sends events as they come, until there are no more, the client goes, or the server ends; then `done`."""

    def __init__(
        self,
        events: Callable[[], AsyncIterator[Event]],
        log: FilteringBoundLogger,
        *,
        done: Callable[[], None] = lambda: None,
        beat: float = BEAT,
        longest: float = LONGEST,
    ) -> None:
        super().__init__(None, 200)
        self._events, self._log, self._done = events, log, done
        self._beat, self._longest = beat, longest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until either side ends."""
        held: Held = scope.get(HELD) or Held()
        send = watched(send, held)
        ends = [asyncio.ensure_future(end) for end in (_gone(receive), held.stopping.wait())]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            async with asyncio.timeout(self._longest):
                await self._send(send, ends)
        except TimeoutError:
            self._log.debug("a stream has lasted long enough")
        finally:
            self._done()
            for end in ends:
                end.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send, ends: Sequence[asyncio.Future[Any]]) -> None:
        events = self._events()
        coming = asyncio.ensure_future(_next(events))
        try:
            while True:
                await asyncio.wait({coming, *ends}, timeout=self._beat, return_when=asyncio.FIRST_COMPLETED)
                if any(end.done() for end in ends):
                    return
                if not coming.done():
                    await send(_piece(b":\n\n"))
                    continue
                event = self._came(coming)
                if event is None:
                    return
                await send(_piece(written(*event)))
                if event[0] == "problem":
                    return
                coming = asyncio.ensure_future(_next(events))
        finally:
            await _stop(coming, events)

    def _came(self, coming: asyncio.Future[Event | None]) -> Event | None:
        try:
            return coming.result()
        except HeadraceError as error:
            self._log.warning("a stream broke off", error=type(error).__name__)
            return "problem", orjson.Fragment(of_error(error).body("/widget"))


def written(name: str, data: Any) -> bytes:
    """An event as it is sent."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


async def _next(events: AsyncIterator[Event]) -> Event | None:
    return await anext(events, None)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _stop(coming: asyncio.Future[Event | None], events: AsyncIterator[Event]) -> None:
    """Let whoever listens stop, and wait until it has."""
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)
    if isinstance(events, AsyncGenerator):
        await events.aclose()


def _piece(body: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": True}
