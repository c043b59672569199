"""What the widget calls. A page may only send what its visitor types; everything goes to the desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from headrace.errors import InputError, NotFound
from headrace.records import Conversation, Message
from headrace.web.api import bodies
from headrace.web.service import Service
from headrace.web.shown import shown
from headrace.web.support import SupportService
from headrace.web.widget.door import PREFIX, Door
from headrace.web.widget.events import Event, Events
from headrace.web.widget.schemas import Begin, Judge, Person, Say
from headrace.web.widget.visits import Addresses, Visits, What

B = TypeVar("B", bound=BaseModel)
BODY = 32_768
"""Bytes of a body: the longest message fits, every character escaped."""
ONE = "/conversations/{conversation}"


def router(service: Service, support: SupportService, visits: Visits | None = None) -> APIRouter:
    """The widget's routes; each needs a public key and a listed page, most a conversation's secret."""
    routes = APIRouter(prefix=PREFIX.rstrip("/"), include_in_schema=False)
    desk = Front(service, support, visits)
    routes.add_api_route("/conversations", desk.begin, methods=["POST"])
    routes.add_api_route(f"{ONE}/messages", desk.say, methods=["POST"])
    routes.add_api_route(f"{ONE}/messages", desk.history, methods=["GET"])
    routes.add_api_route(f"{ONE}/events", desk.listen, methods=["GET"])
    routes.add_api_route(f"{ONE}/person", desk.person, methods=["POST"])
    routes.add_api_route(f"{ONE}/feedback", desk.judge, methods=["POST"])
    return routes


class Front:
    """The desk as the widget meets it."""

    def __init__(self, service: Service, support: SupportService, visits: Visits | None = None) -> None:
        self._service, self._support = service, support
        self._door, self._visits, self._warned = Door(support), visits or Visits(), False

    async def begin(self, request: Request) -> Response:
        """A conversation, its secret, and the greeting."""
        address = self._counted(request, "begin")
        channel = await self._door.channel(request)
        sent = await _sent(Begin, request)
        begun = await self._support.begin(channel, language=sent.language, person=f"address {address}")
        where = begun.conversation
        said = await self._shown(where, [begun.greeting])
        return _json({"conversation": where.id, "secret": begun.secret, "messages": said}, 201)

    async def say(self, request: Request) -> Response:
        """Store a message, then send the reply as events: `received`, `part` by part, the `message`, `done`."""
        address = self._counted(request, "call")
        where = await self._door.conversation(request)
        self._visits.take("say", address, where.id)
        sent = await _sent(Say, request)
        self._service.check_quota(where.channel)
        message = await self._support.receive(where.id, sent.text, message_id=sent.id)
        return Events(lambda: self._replying(where, message), self._service.log)

    async def history(self, request: Request) -> Response:
        """What the visitor sees of the conversation, and whether a person is asked."""
        self._counted(request, "call")
        where = await self._door.conversation(request)
        said = await self._support.since(where.id, _after(request))
        return _json({"messages": await self._shown(where, said), "waits": where.state == "waiting"})

    async def listen(self, request: Request) -> Response:
        """What is said from now on, and what was said after a message, as events."""
        address = self._counted(request, "call")
        where, after = await self._door.conversation(request), _after(request)
        self._visits.listen(address)
        leave = partial(self._visits.leave, address)
        return Events(lambda: self._hearing(where, after), self._service.log, done=leave)

    async def person(self, request: Request) -> Response:
        """A person, please."""
        address = self._counted(request, "call")
        where = await self._door.conversation(request)
        self._visits.take("person", address, where.id)
        sent = await _sent(Person, request)
        ticket = await self._support.person_please(where.id, contact=sent.contact)
        return _json({"state": ticket.state})

    async def judge(self, request: Request) -> Response:
        """Take what a visitor says of an answer; what is then known to be right is said at once."""
        address = self._counted(request, "call")
        where = await self._door.conversation(request)
        self._visits.take("judge", address, where.id)
        sent = await _sent(Judge, request)
        if sent.verdict == "correction" and sent.label is None and sent.text is None:
            raise InputError(
                "a correction says what is right.", field="label", cure="Send a label or a text."
            )
        judged = await self._support.judge(
            sent.message,
            sent.verdict,
            label=sent.label,
            text=sent.text,
            key=await self._door.key_id(request),
            conversation=where.id,
        )
        said = [] if judged.message is None else await self._shown(where, [judged.message])
        return _json({"messages": said})

    def _counted(self, request: Request, what: What) -> str:
        """The address that calls; raises QuotaSpent."""
        proxies = self._support.desk.project.recipe.serve.proxies
        peer = request.client.host if request.client else ""
        address = Addresses(proxies).of(peer, request.headers)
        if not (proxies or self._warned) and "x-forwarded-for" in request.headers:
            self._warned = True
            cure = "Where that is a proxy of yours, name its address under serve: proxies."
            self._service.log.warning("visitors behind a proxy are counted as one", cure=cure)
        self._visits.take(what, address)
        return address

    async def _replying(self, where: Conversation, message: Message) -> AsyncIterator[Event]:
        yield "received", {"id": message.id, "text": message.text, "at": message.at.isoformat()}
        async for part in self._support.answering(message):
            if isinstance(part, str):
                yield "part", {"text": part}
            elif part.message is not None:
                (said,) = await self._shown(where, [part.message])
                yield "message", said
        yield "done", {}

    async def _hearing(self, where: Conversation, after: str | None) -> AsyncIterator[Event]:
        async for message in self._support.listen(where.id, after):
            (said,) = await self._shown(where, [message])
            yield "message", said

    async def _shown(self, where: Conversation, messages: Sequence[Message]) -> list[dict[str, Any]]:
        return await asyncio.to_thread(shown, self._support.desk.project.store, where, messages)


async def _sent(model: type[B], request: Request) -> B:
    return bodies.parse(model, await bodies.read(request.headers, request.receive, BODY))


def _after(request: Request) -> str | None:
    after = request.query_params.get("after")
    if after is not None and len(after) > 64:
        raise NotFound("there is no such message.", where="after")
    return after


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
