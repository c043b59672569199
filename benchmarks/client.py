"""A client that costs little beside the server that it measures: raw HTTP/1.1 on keep-alive connections.

`closed` keeps every connection busy, for throughput. `arrivals` sends at moments fixed beforehand, whether
or not earlier ones were answered, and counts each delay from when it was due: a server that stalls is not
spared the requests of that time (no coordinated omission; Tene 2013).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

HEAD_END, LENGTH = b"\r\n\r\n", b"content-length: "
READY = 8  # connections that are open before the first arrival
TIMEOUT = 408
SETTLE = 20.0  # seconds after the last arrival that are waited for answers


@dataclass
class Heard:
    """What came back: statuses, and where arrivals were fixed the `delays` in seconds and who was answered.

    `again` counts requests that were sent twice, since the server closed an idle connection just then.
    """

    seconds: float = 0.0
    again: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    delays: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    answered: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def answers(self) -> int:
        """Requests that were answered with 200."""
        return self.statuses[200]

    def p99(self, of: NDArray[np.bool_] | None = None) -> float:
        """The delay that one in a hundred passes; `of` picks requests."""
        return float(np.percentile(self.delays if of is None else self.delays[of], 99))


def request(path: str, body: bytes, key: str = "") -> bytes:
    """The bytes of one question; `key` is that of a channel."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Wire(asyncio.Protocol):
    """One connection with at most one request under way; `done` hears its status."""

    def __init__(self, done: Callable[[Wire, int], None]) -> None:
        self._done, self._came = done, b""
        self._transport: asyncio.Transport | None = None
        self._asking = False
        self.place = -1

    @property
    def open(self) -> bool:
        """Whether the server has not closed it."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = transport  # type: ignore[assignment]

    def send(self, data: bytes) -> None:
        """Ask."""
        if self._transport is not None:
            self._asking = True
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Wait for a whole response."""
        self._came += data
        head = self._came.find(HEAD_END)
        if head < 0:
            return
        at = self._came.index(LENGTH) + len(LENGTH)
        size = int(self._came[at : self._came.index(b"\r", at)])
        if len(self._came) >= head + len(HEAD_END) + size:
            status, asked = int(self._came[9:12]), self._asking
            self._came, self._asking = b"", False
            if asked:
                self._done(self, status)
            else:  # the server says that it has waited long enough
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed by the server, at the moment at which it was asked again."""
        if self._asking:
            self._asking = False
            self._done(self, TIMEOUT)


async def _connected(port: int, count: int, done: Callable[[Wire, int], None]) -> list[Wire]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Wire(done), "127.0.0.1", port) for _ in range(count)]
    return [wire for _, wire in made]


def closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Heard:
    """Ask `requests` in turn, with each connection busy for `seconds`. Raises TimeoutError."""
    return asyncio.run(_closed(port, requests, connections, seconds))


async def _closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Heard:
    heard, sent = Heard(), 0
    end = float("inf")

    def done(wire: Wire, status: int) -> None:
        nonlocal sent
        heard.statuses[status] += 1
        if time.perf_counter() < end:
            wire.send(requests[sent % len(requests)])
            sent += 1

    wires = await _connected(port, connections, done)
    began = time.perf_counter()
    end = began + seconds
    for wire in wires:
        wire.send(requests[sent % len(requests)])
        sent += 1
    while sum(heard.statuses.values()) < sent:
        if time.perf_counter() > end + SETTLE:
            raise TimeoutError(f"{sent - sum(heard.statuses.values())} requests were not answered")
        await asyncio.sleep(0.001)
    heard.seconds = time.perf_counter() - began
    for wire in wires:
        wire.close()
    return heard


def arrivals(port: int, requests: Sequence[bytes], due: NDArray[np.float64]) -> Heard:
    """Send request i at `due[i]` seconds from now; the core is kept busy, since timers are too coarse.

    Raises TimeoutError where an answer is missing long after the last was due.
    """
    return asyncio.run(_Arrivals(port, requests, due.tolist()).run())


class _Arrivals:
    """Requests on their way, each on a connection that is free at its moment, or on a new one."""

    def __init__(self, port: int, requests: Sequence[bytes], due: list[float]) -> None:
        self._port, self._requests, self._due = port, requests, due
        self._heard = Heard(delays=np.full(len(due), np.nan), answered=np.zeros(len(due), np.int64))
        self._free: list[Wire] = []
        self._again: list[int] = []
        self._began = 0.0

    async def run(self) -> Heard:
        """Send all and wait for all."""
        self._free.extend(await _connected(self._port, READY, self._done))
        self._began = time.perf_counter()
        for place, moment in enumerate(self._due):
            await asyncio.sleep(0)  # even where it is late: what has come is heard first
            while time.perf_counter() - self._began < moment:
                await asyncio.sleep(0)
            await self._send(place)
        while np.isnan(self._heard.delays).any():
            if time.perf_counter() - self._began > self._due[-1] + SETTLE:
                raise TimeoutError(
                    f"{np.isnan(self._heard.delays).sum()} of {len(self._due)} were not answered"
                )
            await asyncio.sleep(0)
            while self._again:
                await self._send(self._again.pop())
        self._heard.seconds = time.perf_counter() - self._began
        for wire in self._free:
            wire.close()
        return self._heard

    async def _wire(self) -> Wire:
        while self._free:
            wire = self._free.pop()
            if wire.open:  # a server closes connections that have nothing to say
                return wire
        return (await _connected(self._port, 1, self._done))[0]

    async def _send(self, place: int) -> None:
        wire = await self._wire()
        wire.place = place
        wire.send(self._requests[place % len(self._requests)])

    def _done(self, wire: Wire, status: int) -> None:
        if status == TIMEOUT:  # an idle connection ended as we began to ask: as every client does, ask again
            self._again.append(wire.place)
            self._heard.again += 1
            return
        self._heard.statuses[status] += 1
        self._heard.delays[wire.place] = time.perf_counter() - self._began - self._due[wire.place]
        self._heard.answered[wire.place] = status
        self._free.append(wire)
