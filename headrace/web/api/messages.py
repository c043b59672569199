"""POST and GET /v1/messages: a partner's customers meet the desk.

A conversation is begun by its first message, and opened by its secret, which comes back with that one alone. With
an Idempotency-Key a request that was cut off anywhere is carried out once: conversation, message and reply are
named after the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from headrace.apps.support.desk import LONGEST
from headrace.apps.support.outcomes import Begun, Reply
from headrace.errors import InputError
from headrace.records import Channel, Conversation, Message
from headrace.store import Reply as Kept
from headrace.web.api import bodies, openapi
from headrace.web.api.idempotency import Idempotency
from headrace.web.api.schemas import Body, Short, readable
from headrace.web.service import Service
from headrace.web.shown import shown
from headrace.web.support import OPENED_BY, SupportService
from headrace.web.writer import Claim


class MessageRequest(Body):
    """What a customer says. Without a `conversation` one is begun.

    `person` is an id of yours for the customer; only a salted hash of it is stored. `language` is the
    customer's, as en or zh; the channel's where it is left out.
    """

    text: Annotated[str, Field(max_length=LONGEST), AfterValidator(readable)] = Field(
        examples=["How do I add a channel?"]
    )
    conversation: Short | None = None
    person: Short | None = Field(default=None, examples=["user-17"])
    language: Annotated[str, Field(max_length=16)] = Field(default="", examples=["en"])


class SourceBody(BaseModel):
    """Where an answer comes from; `url` is empty where customers cannot read it."""

    title: str
    url: str


class ChoiceBody(BaseModel):
    """Something that may have been meant: a correction names its `label`."""

    label: str
    title: str


class SaidBody(BaseModel):
    """A message: `author` is customer, machine or agent. Name its `answer` in feedback.

    `asks` says that the customer is asked which of the `choices` was meant.
    """

    id: str
    author: str
    text: str
    at: str
    reply_to: str | None
    answer: str | None
    asks: bool
    sources: list[SourceBody]
    choices: list[ChoiceBody]


class MessageResponse(BaseModel):
    """The reply, stored as the message was. `secret` comes with a new conversation alone: keep it.

    `decision` is alone where the machine answered, ask where it asks back, person where a person will answer;
    `ticket` is then the one that waits. `reply` is null where a person is in the conversation already.
    """

    conversation: str
    secret: str | None
    message: str
    decision: str
    ticket: str | None
    reply: SaidBody | None


class MessagesResponse(BaseModel):
    """What was said, oldest first. `waits` says that a person was asked and has not answered yet."""

    messages: list[SaidBody]
    waits: bool


def router(service: Service, support: SupportService) -> APIRouter:
    """The routes of messages; each takes a secret key."""
    routes, front = APIRouter(prefix="/v1"), _Front(service, support)
    sent = openapi.keyed(MessageRequest, MessageResponse)
    sent["openapi_extra"]["parameters"].append(_secret(required=False))
    routes.add_api_route("/messages", front.say, methods=["POST"], summary="Say something", **sent)
    asked = openapi.keyed(MessageRequest, MessagesResponse)
    del asked["openapi_extra"]["requestBody"]
    asked["openapi_extra"]["parameters"] = [
        _secret(required=True),
        _query("conversation", "Whose messages.", required=True),
        _query("after", "Only what came after the message of this id.", required=False),
    ]
    routes.add_api_route("/messages", front.history, methods=["GET"], summary="Read what was said", **asked)
    return routes


class _Front:
    """The desk as a partner meets it."""

    def __init__(self, service: Service, support: SupportService) -> None:
        self._service, self._support, self._once = service, support, Idempotency(service)

    async def say(self, request: Request) -> Response:
        """Store what a customer says and answer it: from the knowledge, by asking back, or by a person."""
        channel = await self._service.authenticate(request.headers.get("authorization"))
        body = await bodies.read(request.headers, request.receive, self._service.limits.body)

        async def work(claim: Claim | None) -> Kept:
            sent = bodies.parse(MessageRequest, body)
            self._service.check_quota(channel.name)
            where, secret = await self._where(request, channel, sent, claim)
            name = None if claim is None else f"key {claim.key} {claim.digest}"
            message = await self._support.receive(where.id, sent.text, message_id=name)
            reply = await self._support.reply(message)
            said = await asyncio.to_thread(self._answered, where, secret, message, reply)
            return await self._service.keep(claim, 200, orjson.dumps(said).decode())

        return await self._once.run(request, channel.name, body, work)

    async def history(self, request: Request) -> Response:
        """What a customer sees of a conversation, persons' later answers too. Ask again after what you have."""
        channel = await self._service.authenticate(request.headers.get("authorization"))
        name, after = request.query_params.get("conversation", ""), request.query_params.get("after")
        where = await self._open(request, channel, name)
        said = await self._support.since(where.id, after[:64] if after else None)
        messages = await asyncio.to_thread(self._shown, where, said)
        return bodies.json_response({"messages": messages, "waits": where.state == "waiting"})

    async def _where(
        self, request: Request, channel: Channel, sent: MessageRequest, claim: Claim | None
    ) -> tuple[Conversation, str | None]:
        """The conversation, and its secret where it is new."""
        if sent.conversation is not None:
            return await self._open(request, channel, sent.conversation), None
        begun: Begun = await self._support.begin(
            channel.name,
            language=sent.language,
            person=sent.person,
            name=None if claim is None else f"key {claim.key} {claim.digest}",
        )
        return begun.conversation, begun.secret

    async def _open(self, request: Request, channel: Channel, name: str) -> Conversation:
        secret = request.headers.get(OPENED_BY)
        if secret is None:
            raise InputError(
                "a conversation is opened by its secret.",
                field=OPENED_BY,
                cure=f"Send the header {OPENED_BY} with what the first message gave.",
            )
        return await self._support.open(name[:64], secret[:128], channel=channel.name)

    def _answered(
        self, where: Conversation, secret: str | None, message: Message, reply: Reply
    ) -> dict[str, Any]:
        said = None if reply.message is None else self._shown(where, [reply.message])[0]
        if said is not None and reply.choices:
            said["choices"] = [{"label": one.label, "title": one.title} for one in reply.choices]
        return {
            "conversation": where.id,
            "secret": secret,
            "message": message.id,
            "decision": reply.decision,
            "ticket": reply.ticket.id if reply.ticket else None,
            "reply": said,
        }

    def _shown(self, where: Conversation, messages: Sequence[Message]) -> list[dict[str, Any]]:
        found = shown(self._support.desk.project.store, where, messages)
        for one, message in zip(found, messages, strict=True):
            del one["judge"]
            one["answer"] = message.answer
        return found


def _secret(*, required: bool) -> dict[str, Any]:
    said = "The conversation's secret, which came with its first message; with a conversation alone."
    schema = {"type": "string", "maxLength": 128}
    return {"name": OPENED_BY, "in": "header", "required": required, "description": said, "schema": schema}


def _query(name: str, said: str, *, required: bool) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": 64}
    return {"name": name, "in": "query", "required": required, "description": said, "schema": schema}
