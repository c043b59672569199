"""POST /v1/embeddings: OpenAI's form in front of a task's base.

The model is one of the channel's tasks, or the channel, whose first task of kind embed is meant, else its first.
The vectors are the base's own: no release changes them. Each input counts as a question of the channel's quota.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.requests import Request
from starlette.responses import Response

from headrace.records import Channel
from headrace.serving.embedder import Embedder
from headrace.serving.weights import Array
from headrace.web.api import bodies
from headrace.web.api.chat import refuse_other_model
from headrace.web.api.schemas import MOST, Text
from headrace.web.openai_faults import Fault, in_openais_form
from headrace.web.service import Service


class EmbeddingsRequest(BaseModel):
    """Texts to embed; `dimensions` may only be those that the base has."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = Field(min_length=1, max_length=200)
    input: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MOST)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)
    user: str | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _texts(cls, given: object) -> object:
        return [given] if isinstance(given, str) else given


def router(service: Service, embedder: Embedder, kind: Callable[[str], str]) -> APIRouter:
    """The route of embeddings, which takes a secret key; `kind` says what a task is."""
    routes = APIRouter(prefix="/v1", include_in_schema=False)

    async def embed(request: Request) -> Response:
        channel = await service.authenticate(request.headers.get("authorization"))
        body = await bodies.read(request.headers, request.receive, service.limits.body)
        sent = bodies.parse(EmbeddingsRequest, body)
        refuse_other_model(channel, sent.model, *channel.tasks)
        task = _task(channel, sent.model, kind)
        base, found = await service.charged(
            channel.name, len(sent.input), lambda: embedder.embed(task, channel.name, sent.input)
        )
        if sent.dimensions not in (None, found.shape[1]):
            raise Fault(400, f"The vectors have {found.shape[1]} dimensions.", "dimensions", "invalid")
        data = [
            {"object": "embedding", "index": index, "embedding": _written(row, sent.encoding_format)}
            for index, row in enumerate(found)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return bodies.json_response({"object": "list", "model": base, "data": data, "usage": usage})

    routes.add_api_route("/embeddings", in_openais_form(embed), methods=["POST"])
    return routes


def _task(channel: Channel, model: str, kind: Callable[[str], str]) -> str:
    if model in channel.tasks:
        return model
    return next((task for task in channel.tasks if kind(task) == "embed"), channel.tasks[0])


def _written(row: Array, how: str) -> Any:
    """A vector as numbers, or as its little-endian 32-bit floats in base64."""
    if how == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    return np.asarray(row, np.float32).tolist()
