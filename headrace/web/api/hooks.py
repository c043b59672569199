"""POST /v1/hooks/CHANNEL: a message of a customer elsewhere, stored before it is acknowledged, then answered.

No key opens it but the signature under the channel's secret. What is answered goes out to the channel's webhook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from headrace.channels.messengers import Incoming
from headrace.data.mask import Masker
from headrace.errors import NotFound, Unauthorized
from headrace.project import Project
from headrace.recipe.sections import WebhookRecipe
from headrace.store.deliveries import Delivery
from headrace.web.api import bodies
from headrace.web.outbox import messenger_of
from headrace.web.service import Service

BODY = 65_536
"""Bytes of a delivery at most."""


def router(service: Service, project: Project) -> APIRouter:
    """The route of deliveries that come in."""
    routes, door = APIRouter(prefix="/v1", include_in_schema=False), _Door(service, project)
    routes.add_api_route("/hooks/{channel}", door.take, methods=["POST"])
    return routes


class _Door:
    def __init__(self, service: Service, project: Project) -> None:
        self._service, self._project = service, project

    async def take(self, request: Request) -> Response:
        """Store a delivery and say so with 202; the same id again is acknowledged and adds nothing."""
        body = await bodies.read(request.headers, request.receive, BODY)
        headers = {name.lower(): value for name, value in request.headers.items()}
        channel = request.path_params["channel"]
        new = await asyncio.to_thread(self._store, channel, headers, body)
        return bodies.json_response({"accepted": True, "new": new}, 202)

    def _store(self, channel: str, headers: Mapping[str, str], body: bytes) -> bool:
        now, deliveries = self._project.clock(), self._project.store.deliveries
        hook = self._hook(channel)
        said = messenger_of(hook).read(headers, body, deliveries.secrets(channel), now)
        kept = orjson.dumps(asdict(self._masked(channel, said))).decode()
        return bool(deliveries.add([Delivery(said.id, channel, "in", now, kept, next=now)]))

    def _hook(self, channel: str) -> WebhookRecipe:
        recipe = self._project.recipe
        known = recipe.channels.get(channel)
        if known is None or known.webhook is None or channel not in recipe.support.channels:
            raise NotFound("there is no such webhook.", cure="Name it in headrace.yaml, under the channel.")
        if not self._project.store.deliveries.secrets(channel):
            raise Unauthorized(
                "the channel has no secret.", cure=f"Make one: headrace webhook secret {channel}"
            )
        return known.webhook

    def _masked(self, channel: str, said: Incoming) -> Incoming:
        recipe = self._project.recipe
        masker = Masker(recipe.clean.mask, recipe.channel(channel).language)
        return replace(said, text=masker.mask(said.text)[0])
