"""What operators call: is it alive, does it serve, what are its numbers. No key is needed."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from headrace.web.api import openapi
from headrace.web.api.metrics import CONTENT_TYPE, Metrics
from headrace.web.api.problems import Problem
from headrace.web.api.schemas import StateResponse
from headrace.web.service import Service

_WAIT = {"Retry-After": "5"}


def router(service: Service, metrics: Metrics) -> APIRouter:
    """The routes of operators."""
    routes = APIRouter()

    @routes.get("/healthz", summary="Alive?", **openapi.plain(StateResponse))
    async def healthz(_request: Request) -> Response:
        """200 while answers can be stored; else the process should be started again."""
        if not service.alive:
            raise Problem("store", "Answers cannot be stored any more.", headers=_WAIT)
        return _state("ok")

    @routes.get("/readyz", summary="Serving?", **openapi.plain(StateResponse))
    async def readyz(_request: Request) -> Response:
        """200 once any release serves."""
        if not service.ready:
            raise Problem("not-served", "Nothing was released yet.", headers=_WAIT)
        return _state("ready")

    @routes.get("/metrics", summary="Numbers for Prometheus", include_in_schema=False)
    async def numbers(_request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return routes


def _state(status: str) -> Response:
    return Response(
        StateResponse.model_validate({"status": status}).model_dump_json(), media_type="application/json"
    )
