"""OpenAI's chat: what a request has of turns, and its response, whole or as server-sent events.

A response ends where its client goes. A refusal before the first byte has the form of OpenAI's errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from headrace.errors import HeadraceError
from headrace.web.api.edge import HEADERS
from headrace.web.api.problems import Problem
from headrace.web.openai_faults import INTERNAL, Fault, of


class Part(BaseModel):
    """A part of a message; text is the only kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["text"]
    text: str


class Turn(BaseModel):
    """One message of the conversation."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[Part, ...]

    @property
    def text(self) -> str:
        """What was said; parts stand on lines of their own."""
        return self.content if isinstance(self.content, str) else "\n".join(p.text for p in self.content)


class StreamOptions(BaseModel):
    """What a stream tells besides the text."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    include_usage: bool = False


class Piece(Protocol):
    """A piece of an answer; `tokens` are those so far, and the last piece says why it is the last."""

    @property
    def text(self) -> str:
        """What is said."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far."""
        ...

    @property
    def finish(self) -> str | None:
        """Why the answer ends here, where it does."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer says of its request: ids, the model's name, the tokens of the prompt where they are counted.

    What stands in `more` when the answer has ended is sent with its end: fields that OpenAI's form does not have.
    """

    id: str
    model: str
    created: int
    stream: bool
    usage: bool = False
    prompt_tokens: int | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def usage_of(self, tokens: int) -> dict[str, int] | None:
        """The tokens of prompt and answer; None where nobody counts."""
        if self.prompt_tokens is None:
            return None
        total = self.prompt_tokens + tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": tokens, "total_tokens": total}

    def document(self, kind: str, choices: list[dict[str, object]], **more: object) -> bytes:
        """A completion, or a chunk of one."""
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return orjson.dumps({**head, "choices": choices, **more})


class Chat(Response):
    """Waits for its turn, answers, and leaves it where the client has gone."""

    def __init__(
        self,
        asked: Asked,
        turn: AbstractAsyncContextManager[AsyncIterator[Piece]],
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(None, 200)
        self._asked, self._turn, self._log, self._begun = asked, turn, log, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        try:
            async with self._turn as pieces:
                await self._answer(pieces, receive, send)
        except (Fault, Problem, HeadraceError) as error:
            if self._begun:
                raise
            await of(error).response()(scope, receive, send)

    async def _answer(self, pieces: AsyncIterator[Piece], receive: Receive, send: Send) -> None:
        answer = self._streamed(pieces, send) if self._asked.stream else self._whole(pieces, send)
        answering, gone = asyncio.create_task(answer), asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            gone.cancel()
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _whole(self, pieces: AsyncIterator[Piece], send: Send) -> None:
        text, tokens, finish = "", 0, "stop"
        async for piece in pieces:
            text, tokens, finish = text + piece.text, piece.tokens, piece.finish or "stop"
        said = {"role": "assistant", "content": text}
        choice: dict[str, object] = {"index": 0, "message": said, "finish_reason": finish, "logprobs": None}
        usage = self._asked.usage_of(tokens)
        counted = {} if usage is None else {"usage": usage}
        body = self._asked.document("chat.completion", [choice], **counted, **self._asked.more)
        self._begun = True
        await _begin(send, "application/json", len(body))
        await send({"type": "http.response.body", "body": body})

    async def _streamed(self, pieces: AsyncIterator[Piece], send: Send) -> None:
        try:
            async for piece in pieces:
                if not self._begun:
                    self._begun = True
                    await _begin(send, "text/event-stream")
                    await send(_event(self._chunk({"role": "assistant", "content": ""})))
                if piece.text:
                    await send(_event(self._chunk({"content": piece.text})))
                if piece.finish:
                    await self._end(piece, send)
        except Exception as error:
            if not self._begun:
                raise
            self._log.exception("an answer broke off")
            await send(_event((of(error) if isinstance(error, HeadraceError) else INTERNAL).body()))
        await send({"type": "http.response.body", "body": b""})

    async def _end(self, last: Piece, send: Send) -> None:
        await send(_event(self._chunk({}, last.finish)))
        usage = self._asked.usage_of(last.tokens)
        if self._asked.usage and usage is not None:
            await send(_event(self._asked.document("chat.completion.chunk", [], usage=usage)))
        await send(_event(b"[DONE]"))

    def _chunk(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        choice: dict[str, object] = {"index": 0, "delta": delta, "finish_reason": finish}
        more = self._asked.more if finish else {}
        return self._asked.document("chat.completion.chunk", [choice], **more)


async def _gone(receive: Receive) -> None:
    """Return once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def _begin(send: Send, kind: str, size: int | None = None) -> None:
    headers = {"content-type": kind, **HEADERS} | ({} if size is None else {"content-length": str(size)})
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})


def _event(data: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True}
