"""The API as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from headrace.errors import HeadraceError
from headrace.web.api import docs, openapi, operators, routes
from headrace.web.api.edge import Edge
from headrace.web.api.fast_path import FastPath
from headrace.web.api.limits import Limits
from headrace.web.api.metrics import Metrics
from headrace.web.api.problems import INTERNAL, Problem, of_error, of_status
from headrace.web.service import Service

TITLE, VERSION = "Headrace", "1"


class Api(FastAPI):
    """FastAPI, with the way past it that the server's protocol takes where it can."""

    fast_path: FastPath


class Part(Protocol):
    """Further routes, and what lives as long as the application does, which must be told of its life."""

    def add(self, app: FastAPI) -> None:
        """Add the routes and what belongs to them."""
        ...

    def start(self) -> None:
        """The application begins; in its event loop."""
        ...

    async def stop(self) -> None:
        """It ends."""
        ...


def create_app(service: Service, parts: Sequence[Part] = ()) -> Api:
    """The API over a `service` that somebody else starts and stops, and further `parts`."""
    app = Api(
        title=TITLE,
        version=VERSION,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_living(parts),
    )
    metrics = Metrics(service)
    app.fast_path = FastPath(service, metrics, service.log)
    app.include_router(routes.router(service))
    app.include_router(operators.router(service, metrics))
    app.include_router(docs.router(lambda: app.openapi()))
    for part in parts:
        part.add(app)
    app.add_middleware(Limits, service=service)
    app.add_middleware(Edge, metrics=metrics, log=service.log)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HeadraceError, _error)
    app.add_exception_handler(HTTPException, _status)
    app.openapi = lambda: _schema(app)  # type: ignore[method-assign]
    return app


def _living(parts: Sequence[Part]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        for part in parts:
            part.start()
        try:
            yield
        finally:
            for part in parts:
                await part.stop()

    return living


def _schema(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        app.openapi_schema = openapi.finish(made)
    return app.openapi_schema


async def _problem(request: Request, error: Exception) -> Response:
    return error.response(request) if isinstance(error, Problem) else INTERNAL.response(request)


async def _error(request: Request, error: Exception) -> Response:
    problem = of_error(error) if isinstance(error, HeadraceError) else INTERNAL
    return problem.response(request)


async def _status(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return INTERNAL.response(request)
    return of_status(error.status_code, error.headers).response(request)
