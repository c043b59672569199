"""The endpoint as an ASGI application: /v1/chat/completions and /v1/models."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from headrace.errors import HeadraceError
from headrace.models.tasks.generate import Piece, Sampling
from headrace.web.api import bodies
from headrace.web.api.edge import HEADERS
from headrace.web.api.problems import Problem
from headrace.web.lm.line import Line
from headrace.web.lm.schemas import ChatRequest
from headrace.web.logs import logger
from headrace.web.openai_chat import Asked, Chat, Turn
from headrace.web.openai_faults import INTERNAL, Fault, told

BODY = 1_000_000
"""Bytes of a request at most."""
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Model(Protocol):
    """What generates; `name` is what requests call it."""

    name: str

    @property
    def context(self) -> int:
        """Tokens of prompt and answer at most."""
        ...

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The tokens of a conversation; raises InputError."""
        ...

    def stream(
        self, prompt: Sequence[int], sampling: Sampling, stopped: Callable[[], bool]
    ) -> Iterator[Piece]:
        """The answer, piece by piece."""
        ...


@dataclass(frozen=True)
class Endpoint:
    """A model, the line before it, and the key that callers must show; without one they call from here alone."""

    model: Model
    line: Line
    key: str | None = None
    log: FilteringBoundLogger = field(default_factory=logger)
    seed: Callable[[], int] = lambda: secrets.randbits(62)

    def check(self, request: Request) -> None:
        """Raise Fault 401 without the key, 403 where a web page reached this machine by a name of its own."""
        if self.key is None:
            host = request.headers.get("host", "").rpartition(":")
            name = host[0] if host[2].isdecimal() else "".join(host)
            if name not in _LOCAL:
                raise Fault(403, "Without a key it is called as localhost alone.", code="forbidden_host")
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode(), self.key.encode()):
            headers = {"WWW-Authenticate": "Bearer"}
            raise Fault(
                401, "Send `Authorization: Bearer` with the key.", code="invalid_api_key", headers=headers
            )

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        self.check(request)
        body = await bodies.read(request.headers, request.receive, BODY)
        sent = bodies.parse(ChatRequest, body)
        self._known(sent.model)
        said = [_said(turn) for turn in sent.messages]
        prompt = await asyncio.to_thread(self.model.prompt, said)
        if len(prompt) >= self.model.context:
            told = f"The prompt has {len(prompt)} tokens; the model reads {self.model.context}."
            raise Fault(400, told, "messages", "context_length_exceeded")
        sampling = sent.sampling(self.seed())
        asked = Asked(
            id=f"chatcmpl-{secrets.token_hex(12)}",
            model=self.model.name,
            created=int(time.time()),
            prompt_tokens=len(prompt),
            stream=sent.stream,
            usage=sent.stream_options is not None and sent.stream_options.include_usage,
        )
        work = partial(self.model.stream, prompt, sampling)
        return Chat(asked, self.line.turn(work), self.log)

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        self.check(request)
        return _json({"object": "list", "data": [self._described()]})

    async def one(self, request: Request) -> Response:
        """GET /v1/models/NAME."""
        self.check(request)
        self._known(request.path_params["name"])
        return _json(self._described())

    def _known(self, name: str) -> None:
        if name != self.model.name:
            said = f"There is no model {name[:100]!r} here, only {self.model.name!r}."
            raise Fault(404, said, "model", "model_not_found")

    def _described(self) -> dict[str, object]:
        return {"id": self.model.name, "object": "model", "created": 0, "owned_by": "headrace"}


def create_app(endpoint: Endpoint) -> Starlette:
    """The application; its model and line are somebody else's to close."""
    routes = [
        Route("/v1/chat/completions", endpoint.chat, methods=["POST"]),
        Route("/v1/models", endpoint.models, methods=["GET"]),
        Route("/v1/models/{name:path}", endpoint.one, methods=["GET"]),
    ]

    async def failed(request: Request, error: Exception) -> Response:
        endpoint.log.error("request failed", exc_info=error)
        return INTERNAL.response()

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return Fault(status, "There is no such path or method.", code="not_found").response()

    handlers = {Fault: told, Problem: told, HeadraceError: told, HTTPException: refused, Exception: failed}
    return Starlette(routes=routes, exception_handlers=handlers)


def _said(turn: Turn) -> dict[str, str]:
    """A turn as a chat template takes it."""
    return {"role": "system" if turn.role == "developer" else turn.role, "content": turn.text}


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), headers=HEADERS, media_type="application/json")
