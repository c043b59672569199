"""The console as one ASGI application."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from headrace.web.console.guard import LOOPBACK, Guard
from headrace.web.console.navigation import ENTRANCE, SCREENS
from headrace.web.console.pages import static
from headrace.web.console.place import Console
from headrace.web.console.visit import Screen, Visit, endpoint, language_of

_FOR_GOOD = "public, max-age=31536000, immutable"


def create_console(console: Console, *, hosts: Collection[str] = LOOPBACK) -> ASGIApp:
    """The console; `hosts` are the names and addresses by which it may be called."""
    screens: Sequence[Screen] = SCREENS
    routes = [
        Route(page.path, endpoint(console, screens, page), methods=[page.method])
        for screen in (*screens, ENTRANCE)
        for page in screen.pages
    ]

    async def missing(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return Visit(console, screens, request, language_of(request)).refused(status, "refused.missing")

    app = Starlette(
        routes=[*routes, Route("/static/{name}", _static)], exception_handlers={HTTPException: missing}
    )
    return Guard(app, hosts)


async def _static(request: Request) -> Response:
    found = static().get(request.path_params["name"])
    if found is None:
        return Response("There is no such file.", 404)
    content, kind = found
    return Response(content, media_type=kind, headers={"Cache-Control": _FOR_GOOD})
