"""Bulk over HTTP: a line of JSON for each question in, a line for each answer out, in order, while they come.

However long the request, no more than `WINDOW` lines are under way: a slow engine or a client that does not
read slows the sender down, by TCP's own means. A line is sent once its answer is on disk. A line that cannot
be answered says so in its own place and the others go on; a spent quota, a store that takes nothing or a
server that stops ends the stream, with a last line that says so. Who reads nothing for a minute is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from headrace.errors import HeadraceError, QuotaSpent, ServerFull, StoreError
from headrace.records import Channel
from headrace.web.api import bodies
from headrace.web.api.given import answer
from headrace.web.api.problems import INTERNAL, Problem, of_error
from headrace.web.api.schemas import StreamLine
from headrace.web.ports import Given
from headrace.web.service import Service, is_long
from headrace.web.writer import Kept

PATH = "/v1/predict/stream"
MEDIA_TYPE = "application/x-ndjson"
WINDOW = 128
LONGEST_LINE = 131_072  # bytes: the longest text, every character escaped, fits
_REST = 1_000_000  # bytes that are read and thrown away after the stream was ended early
_PATIENCE = 0.02  # seconds until a full queue is tried again
_MOMENT = 0.5  # seconds that a sender gets to hear why the server ends its stream
_LAST = 2.0  # seconds after which a stream is cut off where the server ends
UNREAD = 60.0
"""Seconds that a client may take nothing of what waits for it."""
WIDGET = "/widget/v1/"
"""How paths begin whose responses may be streams as well."""
HELD = "headrace.held"
"""Where a scope holds what a stream must know of its connection."""


@dataclass(frozen=True, slots=True)
class Held:
    """A stream's connection: `stopping` is set where the server ends, `abort` cuts it off at once."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    abort: Callable[[], None] = lambda: None


class _Stopping(Exception):
    """The server ends."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that was read: its number, what it asks where that can be read, and what comes of it."""

    number: int
    sent: StreamLine | None
    outcome: asyncio.Future[Kept] | Problem

    def rendered(self, name: str, value: object) -> bytes:
        """The line that is sent back."""
        return orjson.dumps({"line": self.number, "id": self.sent and self.sent.id, name: value}) + b"\n"


class Stream(Response):
    """The response to a stream of questions; it reads the request while it is sent."""

    def __init__(self, service: Service, channel: Channel) -> None:
        super().__init__(None, 200)
        self._service, self._channel = service, channel
        self._stopped: Problem | None = None
        self._lines: asyncio.Queue[_Line | None] = asyncio.Queue(WINDOW)
        self._read = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and answer until either side ends."""
        # Closed at the end: nobody can tell how much of a request that was ended early is still to come.
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close")]
        held: Held = scope.get(HELD) or Held()
        send = watched(send, held)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        reader = asyncio.create_task(self._reading(receive, held.stopping))
        end = asyncio.create_task(_cut_off(held))
        try:
            await self._writing(send)
            await reader
            if self._stopped is not None:
                said = {"stopped": _document(self._stopped, scope["path"]), "read": self._read}
                await send(_piece(orjson.dumps(said) + b"\n"))
            await send({"type": "http.response.body", "body": b""})
        except ClientDisconnect:
            return
        finally:
            reader.cancel()
            end.cancel()

    async def _reading(self, receive: Receive, stopping: asyncio.Event) -> None:
        pieces = bodies.pieces_of(_until(stopping, receive))
        try:
            async for line in lines_of(pieces):
                if stopping.is_set():
                    raise _Stopping
                self._read += 1
                if line is None or line.strip():
                    await self._lines.put(await self._asked(line))
                if self._stopped is not None:
                    break
        except _Stopping:
            self._stopped = of_error(ServerFull("the server is stopping.", retry_after=1))
            pieces = bodies.pieces_of(receive)
        except Exception:
            await self._lines.put(None)
            raise
        await self._lines.put(None)
        if self._stopped is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(_throw_away(pieces), _MOMENT if stopping.is_set() else None)

    async def _asked(self, raw: bytes | None) -> _Line:
        sent: StreamLine | None = None
        try:
            if raw is None:
                raise Problem("too-large", f"A line has at most {LONGEST_LINE} bytes.")
            sent = bodies.parse(StreamLine, raw)
            return _Line(self._read, sent, await self._ask(sent))
        except (Problem, HeadraceError) as error:
            return _Line(self._read, sent, self._problem(error))

    async def _ask(self, line: StreamLine) -> asyncio.Future[Kept]:
        """Ask; where the queue is full or the pace too fast, wait as long as an answer may take."""
        if is_long([line.text]):
            return asyncio.ensure_future(self._long(line))
        end = self._patience()
        while True:
            try:
                return self._service.ask_now(self._channel, line.task, line.text, _render, line.person)
            except (ServerFull, QuotaSpent) as error:
                await self._wait(error, end)

    async def _long(self, line: StreamLine) -> Kept:
        end = self._patience()
        while True:
            try:
                ask = self._service.answer
                return Kept(await ask(self._channel, line.task, [line.text], _render, person=line.person))
            except QuotaSpent as error:
                await self._wait(error, end)

    def _patience(self) -> float:
        return asyncio.get_running_loop().time() + self._service.limits.seconds

    async def _wait(self, error: ServerFull | QuotaSpent, end: float) -> None:
        """Wait a moment; raise `error` where that will not help: a quota spent comes back with the next day."""
        now = asyncio.get_running_loop().time()
        if now > end or (isinstance(error, QuotaSpent) and now + error.retry_after > end):
            raise error
        await asyncio.sleep(_PATIENCE)

    async def _writing(self, send: Send) -> None:
        """Send lines in their order; those that are ready at one moment together."""
        out: list[bytes] = []
        while True:
            if out and self._lines.empty():
                await send(_piece(b"".join(out)))
                out = []
            line = await self._lines.get()
            if line is None:
                break
            out.append(await self._rendered(line))
            if len(out) >= WINDOW:
                await send(_piece(b"".join(out)))
                out = []
        if out:
            await send(_piece(b"".join(out)))

    async def _rendered(self, line: _Line) -> bytes:
        try:
            if not isinstance(line.outcome, Problem):
                return line.rendered("answer", orjson.Fragment(await self._kept(line, line.outcome)))
            problem = line.outcome
        except HeadraceError as error:
            problem = self._problem(error)
        except Exception:  # whatever it is, it belongs to this line alone
            self._service.log.exception("line failed", line=line.number)
            problem = INTERNAL
        return line.rendered("problem", _document(problem, PATH))

    async def _kept(self, line: _Line, future: asyncio.Future[Kept]) -> str:
        """The answer; a line that had to give way to another channel's is asked once more."""
        try:
            kept = await future
        except ServerFull:
            if line.sent is None:
                raise
            kept = await (await self._ask(line.sent))
        return kept.reply.body or ""

    def _problem(self, error: Problem | HeadraceError) -> Problem:
        found = error if isinstance(error, Problem) else of_error(error)
        if isinstance(error, QuotaSpent | StoreError):
            self._stopped = found
        return found


def watched(send: Send, held: Held) -> Send:
    """A `send` that cuts off a client which takes nothing for `UNREAD` seconds."""

    async def sending(message: Message) -> None:
        late = asyncio.get_running_loop().call_later(UNREAD, held.abort)
        try:
            await send(message)
        finally:
            late.cancel()

    return sending


def _until(stopping: asyncio.Event, receive: Receive) -> Receive:
    """A `receive` that raises `_Stopping` where the server ends first."""

    async def until() -> Message:
        message, end = asyncio.ensure_future(receive()), asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait({message, end}, return_when=asyncio.FIRST_COMPLETED)
            if not message.done():
                raise _Stopping
            return await message
        finally:
            message.cancel()
            end.cancel()

    return until


async def _cut_off(held: Held) -> None:
    """Where the server ends, let nobody who does not read hold it up."""
    await held.stopping.wait()
    await asyncio.sleep(_LAST)
    held.abort()


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """The lines of a body that comes in pieces; None in the place of one that is too long."""
    rest, skipping = bytearray(), False
    async for piece in pieces:
        *whole, last = piece.split(b"\n")
        for part in whole:
            yield None if skipping or len(rest) + len(part) > LONGEST_LINE else bytes(rest + part)
            rest, skipping = bytearray(), False
        if len(rest) + len(last) > LONGEST_LINE:
            rest, skipping = bytearray(), True
        elif not skipping:
            rest += last
    if skipping or rest:
        yield None if skipping else bytes(rest)


async def _throw_away(pieces: AsyncIterator[bytes]) -> None:
    """Read on for a moment, so that a sender which is not done hears why before the connection closes."""
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > _REST:
            return


def _render(given: Sequence[Given]) -> str:
    return orjson.dumps(answer(given[0])).decode()


def _document(problem: Problem, path: str) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(problem.body(path))
    wait = problem.headers.get("Retry-After")
    return found | ({"retry_after": int(wait)} if wait else {})


def _piece(body: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": True}
