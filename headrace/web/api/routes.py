"""What channels call: /v1/predict and /v1/feedback."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from headrace.records import Feedback
from headrace.store import Reply
from headrace.web.api import bodies, openapi
from headrace.web.api.idempotency import Idempotency
from headrace.web.api.schemas import FeedbackRequest, FeedbackResponse, PredictRequest, PredictResponse
from headrace.web.ports import Given, Said
from headrace.web.service import Service
from headrace.web.writer import Claim


def router(service: Service) -> APIRouter:
    """The routes that need a key. The key is checked before a byte of the body is read."""
    routes, once = APIRouter(prefix="/v1"), Idempotency(service)

    @routes.post("/predict", summary="Ask", **openapi.keyed(PredictRequest, PredictResponse))
    async def predict(request: Request) -> Response:
        """Ask one task about one text or several. Every answer is stored before it is sent."""
        channel = await service.authenticate(request.headers.get("authorization"))
        body = await bodies.read(request, service.limits.body)

        async def work(claim: Claim | None) -> Reply:
            asked = bodies.parse(PredictRequest, body)
            return await service.answer(channel, asked.task, asked.asked, _answers, claim)

        return await once.run(request, channel.name, body, work)

    @routes.post(
        "/feedback", summary="Say what was right", **openapi.keyed(FeedbackRequest, FeedbackResponse)
    )
    async def feedback(request: Request) -> Response:
        """Judge or correct an answer. A correction counts at once for that text and its rewordings."""
        channel = await service.authenticate(request.headers.get("authorization"))
        body = await bodies.read(request, service.limits.body)

        async def work(claim: Claim | None) -> Reply:
            sent = bodies.parse(FeedbackRequest, body)
            said = Said(sent.answer, sent.verdict, sent.label, sent.person)
            return await service.feedback(channel, said, _counted, claim)

        return await once.run(request, channel.name, body, work)

    return routes


def _answers(given: Sequence[Given]) -> str:
    return orjson.dumps({"answers": [_answer(one) for one in given]}).decode()


def _answer(given: Given) -> dict[str, object]:
    answer = given.answer
    return {
        "id": answer.id,
        "label": answer.label,
        "confidence": answer.confidence,
        "scores": dict(given.scores),
        "release": answer.release,
        "adapter": answer.adapter,
        "because": answer.because,
    }


def _counted(feedback: Feedback) -> str:
    return orjson.dumps({"id": feedback.id, "counted": True}).decode()
