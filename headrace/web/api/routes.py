"""What channels call: /v1/predict and /v1/feedback."""

from __future__ import annotations

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from headrace.records import COUNTING, Feedback
from headrace.store import Reply
from headrace.web.api import bodies, openapi, stream
from headrace.web.api.given import answers
from headrace.web.api.idempotency import HEADER, Idempotency
from headrace.web.api.problems import Problem
from headrace.web.api.schemas import (
    FeedbackRequest,
    FeedbackResponse,
    PredictRequest,
    PredictResponse,
    StreamedLine,
    StreamLine,
)
from headrace.web.ports import Said
from headrace.web.service import Service
from headrace.web.writer import Claim


def router(service: Service) -> APIRouter:
    """The routes that need a key. The key is checked before a byte of the body is read."""
    routes, once = APIRouter(prefix="/v1"), Idempotency(service)

    @routes.post("/predict", summary="Ask", **openapi.keyed(PredictRequest, PredictResponse))
    async def predict(request: Request) -> Response:
        """Ask one task about one text or several. Every answer is stored before it is sent."""
        channel = await service.authenticate(request.headers.get("authorization"))
        body = await bodies.read(request.headers, request.receive, service.limits.body)

        async def work(claim: Claim | None) -> Reply:
            asked = bodies.parse(PredictRequest, body)
            person = asked.person
            return await service.answer(channel, asked.task, asked.asked, answers, claim, person=person)

        return await once.run(request, channel.name, body, work)

    @routes.post(
        "/feedback", summary="Say what was right", **openapi.keyed(FeedbackRequest, FeedbackResponse)
    )
    async def feedback(request: Request) -> Response:
        """Judge or correct an answer. A correction counts at once for that text and its rewordings.

        It is kept in any case. Where it is one of too many, or others say otherwise, it is held for the owner or
        for further persons who say the same: `counted` is then false, and `reason` says why.
        """
        channel = await service.authenticate(request.headers.get("authorization"))
        key = await service.key_of(request.headers.get("authorization"))
        body = await bodies.read(request.headers, request.receive, service.limits.body)

        async def work(claim: Claim | None) -> Reply:
            sent = bodies.parse(FeedbackRequest, body)
            said = Said(sent.answer, sent.verdict, sent.label, sent.person)
            return await service.feedback(channel, said, _counted, claim, key=key)

        return await once.run(request, channel.name, body, work)

    @routes.post(
        stream.PATH.removeprefix("/v1"),
        summary="Ask line by line",
        **openapi.streamed(StreamLine, StreamedLine, stream.MEDIA_TYPE),
    )
    async def streaming(request: Request) -> Response:
        """Ask about any number of texts, a line of JSON each; a line comes back for each, in order.

        The quota is counted by line, and what was sent is stored. A line that is wrong has its problem in its
        place. At least a line or 1,024 bytes must come every ten seconds.
        """
        channel = await service.authenticate(request.headers.get("authorization"))
        bodies.check_type(request.headers, stream.MEDIA_TYPE)
        if HEADER.lower() in request.headers:
            said = "A stream takes none; send what was not answered again."
            raise Problem("invalid", f"{HEADER}: {said}", [(HEADER, said)])
        return stream.Stream(service, channel)

    return routes


def _counted(feedback: Feedback) -> str:
    counted = feedback.state in COUNTING
    return orjson.dumps({"id": feedback.id, "counted": counted, "reason": feedback.reason}).decode()
