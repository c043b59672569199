"""Who may call the widget's routes: pages of listed origins, with a public key and a conversation's secret.

These routes alone carry CORS headers, and those only for an origin that a channel lists, compared letter by
letter. A browser sends no Origin with a GET to its page's own server; its Sec-Fetch-Site, which no page can set,
then says so, and the page's own origin is held to the list all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.channels.keys import KeyRing
from headrace.errors import NotFound, Unauthorized
from headrace.recipe import Recipe
from headrace.records import Conversation
from headrace.web.api.problems import Problem
from headrace.web.api.stream import WIDGET
from headrace.web.support import OPENED_BY, SupportService

PREFIX = WIDGET
PAGE = "headrace.page"
"""Where a scope holds the page that calls."""
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": f"Authorization, Content-Type, {OPENED_BY}",
    "Access-Control-Max-Age": "600",
}
_REFUSED = (
    "Name the page's origin, such as https://shop.example, in headrace.yaml, under the channel's origins."
)


@dataclass(slots=True)
class Page:
    """The page that calls, by its `origin`; `listed` says whether its answer carries CORS headers."""

    origin: str
    listed: bool = True


class Gate:
    """ASGI middleware: refuses calls of the widget's routes from elsewhere, names the origin to all others."""

    def __init__(self, app: ASGIApp, *, support: SupportService) -> None:
        self._app, self._support = app, support

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or refuse it; what is not the widget's passes untouched."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        origin = _origin(Headers(scope=scope), _listed(self._support.desk.project.recipe))
        if origin is None:
            await _not_listed().response(Request(scope))(scope, receive, send)
            return
        page = scope[PAGE] = Page(origin)
        app: ASGIApp = Response(None, 204, _PREFLIGHT) if scope["method"] == "OPTIONS" else self._app
        await app(scope, receive, _named(page, send))


class Door:
    """Opens a channel by its public key, and a conversation by its secret."""

    def __init__(self, support: SupportService) -> None:
        self._support, self._ring = support, KeyRing(support.desk.project.store.keys, "public")

    async def channel(self, request: Request) -> str:
        """The channel whose key, sent from one of its pages, opens it.

        Raises Unauthorized; Problem 403 where the channel does not list the page; NotFound where its customers
        are not answered.
        """
        header = request.headers.get("authorization")
        name = self._ring.remembered(header) or await asyncio.to_thread(self._ring.authenticate, header)
        recipe = self._support.desk.project.recipe
        if name not in recipe.channels:
            raise Unauthorized("the key's channel is no longer in the recipe.")
        page: Page = request.scope[PAGE]
        if page.origin not in recipe.channels[name].origins:
            page.listed = False
            raise _not_listed()
        if name not in recipe.support.channels:
            raise NotFound(
                "the customers of this channel are not answered.",
                cure="Name the channel in headrace.yaml, under support: channels.",
            )
        return name

    async def key_id(self, request: Request) -> str:
        """The id of the key that a request carries."""
        return await asyncio.to_thread(self._ring.key_of, request.headers.get("authorization"))

    async def conversation(self, request: Request) -> Conversation:
        """The conversation of the path, by the secret that the request carries; raises what `channel` does.

        One of another channel, or with another secret, is not found, in the same words as one that is not there.
        """
        channel = await self.channel(request)
        name, secret = request.path_params["conversation"], request.headers.get(OPENED_BY, "")
        return await self._support.open(name[:64], secret[:128], channel=channel)


def _listed(recipe: Recipe) -> set[str]:
    """The origins of all channels whose customers are answered."""
    known = (recipe.channels.get(name) for name in recipe.support.channels)
    return {origin for channel in known if channel for origin in channel.origins}


def _origin(headers: Headers, listed: set[str]) -> str | None:
    """The origin of the page that calls, where it is listed."""
    return next((origin for origin in _claimed(headers) if origin in listed and origin != "null"), None)


def _claimed(headers: Headers) -> Sequence[str]:
    said = headers.getlist("origin")
    if said or headers.get("sec-fetch-site") != "same-origin":
        return said[:1] if len(said) == 1 else ()
    host = headers.get("host", "")
    return (f"https://{host}", f"http://{host}")


def _named(page: Page, send: Send) -> Send:
    async def named(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(b"vary", b"Origin")]
            if page.listed:
                more.append((b"access-control-allow-origin", page.origin.encode()))
                more.append((b"access-control-expose-headers", b"Retry-After, Request-Id"))
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return named


def _not_listed() -> Problem:
    return Problem("origin", _REFUSED, headers={"Vary": "Origin"})
