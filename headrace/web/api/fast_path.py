"""The way of nearly every request, /v1/predict without an idempotency key, past the framework.

FastAPI, its middlewares and uvicorn's cycle of messages take longer than all that is done for an answer.
The route stands in the framework too: there it is documented, and there goes every request that needs more
than this. What is sent, and every refusal, is the same either way.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from headrace.errors import HeadraceError
from headrace.web.api import bodies
from headrace.web.api.edge import HEADERS
from headrace.web.api.given import answers
from headrace.web.api.limits import limits
from headrace.web.api.metrics import Metrics
from headrace.web.api.problems import INTERNAL, KINDS, MEDIA_TYPE, Problem, of_error
from headrace.web.api.schemas import LONGEST, PredictRequest
from headrace.web.service import Service, is_long
from headrace.web.writer import Kept

PATH = "/v1/predict"
LARGEST = 32_768  # bytes of a body that is taken this way: no more than uvicorn reads without a pause
_URL, _JSON = PATH.encode(), b"application/json"
_MORE = frozenset(
    {b"idempotency-key", b"content-encoding", b"transfer-encoding", b"expect", b"upgrade", b"connection"}
)
_FIELDS = frozenset({"text", "task", "person"})
_REASONS = {200: "OK"} | {kind.status: kind.title for kind in KINDS.values()}
_FIXED = "".join(f"{name.lower()}: {value}\r\n" for name, value in HEADERS.items()).encode()
Headers = Mapping[bytes, bytes]
Respond = Callable[[bytes], None]


class FastPath:
    """Answers requests that `takes` accepts; everything here runs in the thread of the event loop."""

    def __init__(self, service: Service, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self._service, self._metrics, self._log = service, metrics, log
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, method: bytes, url: bytes, raw: list[tuple[bytes, bytes]]) -> Headers | None:
        """The headers of a request that needs nothing of the framework; None of any other."""
        if url != _URL or method != b"POST":
            return None
        headers = dict(raw)
        size = headers.get(b"content-length", b"")
        plain = len(headers) == len(raw) and _MORE.isdisjoint(headers) and size.isdigit()
        if not plain or headers.get(b"content-type") != _JSON or len(size) > 5 or int(size) > LARGEST:
            return None
        return headers if int(size) <= self._service.limits.body else None

    def answer(self, headers: Headers, body: bytes, date: bytes, respond: Respond) -> None:
        """Answer one request: `respond` is called once, with the whole response; `date` is a line of it."""
        exchange = _Exchange(self, date, respond)
        try:
            authorization = headers.get(b"authorization", b"").decode("latin-1") or None
            channel = self._service.remembered(authorization)
            exchange.channel = channel.name if channel else ""
            task, texts, person = _asked(body) if channel else (None, [], None)
            if channel is None or len(texts) > 1 or is_long(texts):
                self._later(authorization, body, exchange)
            else:
                asked = self._service.ask_now(channel, task, texts[0], answers, person)
                asked.add_done_callback(exchange.ended)
        except Exception as error:  # whatever it is, the client gets a problem document
            exchange.failed(error)

    def _later(self, authorization: str | None, body: bytes, exchange: _Exchange) -> None:
        """A request that has to wait for a thread."""
        task = asyncio.ensure_future(self._wait(authorization, body, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, authorization: str | None, body: bytes, exchange: _Exchange) -> None:
        try:
            channel = await self._service.authenticate(authorization)
            exchange.channel = channel.name
            task, texts, person = _asked(body)
            reply = await self._service.answer(channel, task, texts, answers, person=person)
            exchange.send(200, (reply.body or "").encode())
        except Exception as error:  # whatever it is, the client gets a problem document
            exchange.failed(error)

    def problem(self, error: BaseException, request_id: str) -> Problem:
        """What an error is to the client; what is none of its business is logged."""
        if isinstance(error, Problem):
            return error
        if isinstance(error, HeadraceError):
            return of_error(error)
        with structlog.contextvars.bound_contextvars(request=request_id):
            self._log.error("request failed", exc_info=error)
        return INTERNAL

    def limits(self, channel: str) -> str:
        """Lines of a response's head that say what is left of the channel's quota."""
        said = limits(self._service, channel) if channel else {}
        return "".join(f"{name}: {value}\r\n" for name, value in said.items())

    def count(self, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._metrics.observe(PATH, status, seconds)


class _Exchange:
    """One request and the way back to its client."""

    __slots__ = ("_began", "_date", "_fast_path", "_id", "_respond", "channel")

    def __init__(self, fast_path: FastPath, date: bytes, respond: Respond) -> None:
        self._fast_path, self._date, self._respond = fast_path, date, respond
        self.channel = ""
        self._id, self._began = f"req_{os.urandom(8).hex()}", time.perf_counter()

    def ended(self, future: asyncio.Future[Kept]) -> None:
        """Send what came of it."""
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is not None:
            self.failed(error)
        else:
            self.send(200, (future.result().reply.body or "").encode())

    def failed(self, error: BaseException) -> None:
        """Send the problem document of an error."""
        problem = self._fast_path.problem(error, self._id)
        more = "".join(f"{name.lower()}: {value}\r\n" for name, value in problem.headers.items())
        self.send(problem.kind.status, problem.body(PATH), MEDIA_TYPE, more)

    def send(self, status: int, body: bytes, kind: str = "application/json", more: str = "") -> None:
        """Send the response, whole."""
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-length: {len(body)}\r\ncontent-type: {kind}\r\n"
            f"request-id: {self._id}\r\n{more}{self._fast_path.limits(self.channel)}"
        )
        self._respond(b"".join((head.encode(), self._date, _FIXED, b"\r\n", body)))
        self._fast_path.count(status, time.perf_counter() - self._began)


def _asked(body: bytes) -> tuple[str | None, list[str], str | None]:
    """Task, texts and person of a body; what is not plainly right is read again in full, to name its mistakes."""
    found = _loads(body)
    if isinstance(found, dict) and found.keys() <= _FIELDS:
        task, text, person = found.get("task"), found.get("text"), found.get("person")
        if _is_text(text, LONGEST) and _is_name(task) and _is_name(person):
            return task, [text], person
    asked = bodies.parse(PredictRequest, body)
    return asked.task, asked.asked, asked.person


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _is_name(value: object) -> TypeGuard[str | None]:
    return value is None or _is_text(value, 64)


def _is_text(value: object, longest: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= longest and "\x00" not in value and bool(value.strip())
