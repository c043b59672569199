"""POST /v1/chat/completions: OpenAI's form in front of the desk; the model is the channel.

The last user message is answered; what stands before it is the context in which it is understood. System
messages change nothing: what is answered, and how surely, is the owner's to say. Nothing is kept between two
requests but their records, so each is a conversation of its own; who wants a person's later answer calls
/v1/messages. The field `headrace` says what was decided and from which sources.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from headrace.apps.support.desk import LONGEST
from headrace.apps.support.outcomes import Reply
from headrace.records import Author, Channel, Conversation, Message, utc_now
from headrace.web.api import bodies
from headrace.web.api.schemas import readable
from headrace.web.openai_chat import Asked, Chat, StreamOptions, Turn
from headrace.web.openai_faults import Fault, in_openais_form
from headrace.web.service import Service
from headrace.web.support import SupportService

CONTEXT = 20
"""Turns before the last message that are read at most."""


class ChatRequest(BaseModel):
    """A conversation whose last message is answered. What only steers a language model is taken and ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    model: str = Field(min_length=1, max_length=200)
    messages: tuple[Turn, ...] = Field(min_length=1, max_length=256)
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = Field(default=None, min_length=1, max_length=64)
    n: int | None = Field(default=None, ge=1, le=1)


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    finish: str | None = None
    tokens: int = 0


def router(service: Service, support: SupportService) -> APIRouter:
    """The routes of chat; each takes a secret key."""
    routes = APIRouter(prefix="/v1", include_in_schema=False)
    front = _Front(service, support)
    routes.add_api_route("/chat/completions", in_openais_form(front.complete), methods=["POST"])
    routes.add_api_route("/models", in_openais_form(front.models), methods=["GET"])
    return routes


class _Front:
    """The desk as a client of OpenAI's meets it."""

    def __init__(self, service: Service, support: SupportService) -> None:
        self._service, self._support = service, support

    async def complete(self, request: Request) -> Response:
        """Answer the last message."""
        channel = await self._service.authenticate(request.headers.get("authorization"))
        body = await bodies.read(request.headers, request.receive, self._service.limits.body)
        sent = bodies.parse(ChatRequest, body)
        refuse_other_model(channel, sent.model)
        context, question = _turns(sent.messages)
        self._service.check_quota(channel.name)
        begun = await self._support.begin(channel.name, person=sent.user)
        await self._support.quote(begun.conversation.id, context)
        message = await self._support.receive(begun.conversation.id, question)
        asked = Asked(
            id=f"chatcmpl-{secrets.token_hex(12)}",
            model=channel.name,
            created=int(utc_now().timestamp()),
            stream=sent.stream,
        )
        return Chat(asked, aclosing(self._pieces(begun.conversation, message, asked)), self._service.log)

    async def models(self, request: Request) -> Response:
        """The one model of a key: its channel."""
        channel = await self._service.authenticate(request.headers.get("authorization"))
        return listed(channel)

    async def _pieces(
        self, where: Conversation, message: Message, asked: Asked
    ) -> AsyncGenerator[_Piece, None]:
        said: list[str] = []
        async for part in self._support.answering(message):
            if isinstance(part, str):
                yield _Piece(f" {part}" if said else part)
                said.append(part)
                continue
            text = part.message.text if part.message else ""
            if text != " ".join(said):
                yield _Piece(f"\n\n{text}" if said else text)
            asked.more["headrace"] = _decided(where, part)
        yield _Piece("", "stop")


def listed(channel: Channel) -> Response:
    """The channel as OpenAI lists models."""
    model = {"id": channel.name, "object": "model", "created": 0, "owned_by": "headrace"}
    return bodies.json_response({"object": "list", "data": [model]})


def refuse_other_model(channel: Channel, name: str, *more: str) -> None:
    """Raise Fault 404 where the model is not the channel, nor one of `more` names."""
    if name not in (channel.name, *more):
        known = ", ".join((channel.name, *more))
        raise Fault(
            404, f"There is no model {name[:100]!r} here. Known: {known}.", "model", "model_not_found"
        )


def _turns(messages: Sequence[Turn]) -> tuple[list[tuple[Author, str]], str]:
    """The context, turn by turn, and the question; who says several things in a row says one."""
    turns: list[tuple[Author, str]] = []
    for one in messages:
        if one.role not in ("user", "assistant") or not one.text.strip():
            continue
        author: Author = "customer" if one.role == "user" else "machine"
        if turns and turns[-1][0] == author:
            turns[-1] = (author, f"{turns[-1][1]}\n{one.text}")
        else:
            turns.append((author, one.text))
    if not turns or turns[-1][0] != "customer":
        raise Fault(400, "The last message must be the user's, and say something.", "messages", "invalid")
    question = turns.pop()[1]
    if len(question) > LONGEST:
        said = f"The last message has {len(question)} characters; at most {LONGEST} are read."
        raise Fault(400, said, "messages", "context_length_exceeded")
    for _, text in [*turns, ("customer", question)]:
        _check(text)
    return turns[-CONTEXT:], question


def _check(text: str) -> None:
    try:
        readable(text)
    except ValueError as error:
        raise Fault(400, str(error), "messages", "invalid") from None


def _decided(where: Conversation, reply: Reply) -> dict[str, Any]:
    return {
        "conversation": where.id,
        "decision": reply.decision,
        "answer": reply.message.answer if reply.message else None,
        "ticket": reply.ticket.id if reply.ticket else None,
        "sources": [{"title": p.title, "url": p.url} for p in reply.sources],
        "choices": [{"label": c.label, "title": c.title} for c in reply.choices],
    }
