"""Headers that say what is left of a channel's quota, on every route that takes a secret key.

RateLimit-Policy and RateLimit as the IETF's draft-ietf-httpapi-ratelimit-headers writes them, as structured
fields: `"day";q=1000;w=86400` is the policy, `"day";r=995;t=3600` what is left of it and the seconds until it is
renewed. A channel without a quota has neither. A refusal says in Retry-After when to come again.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.errors import Unauthorized
from headrace.web.service import Service

PREFIX = "/v1/"
_DAY = 86_400


def limits(service: Service, channel: str) -> dict[str, str]:
    """The headers of a response to this channel."""
    left = service.left(channel)
    if left is None:
        return {}
    return {
        "ratelimit-policy": f'"day";q={left.quota};w={_DAY}',
        "ratelimit": f'"day";r={left.questions};t={left.seconds}',
    }


class Limits:
    """ASGI middleware: adds the headers where the request's key opens a channel."""

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request; what takes no secret key passes untouched."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return

        async def limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = self._said(Headers(scope=scope).get("authorization"))
                more = [(name.encode(), value.encode()) for name, value in said.items()]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        await self._app(scope, receive, limited)

    def _said(self, header: str | None) -> dict[str, str]:
        try:
            channel = self._service.remembered(header)
        except Unauthorized:
            return {}
        return {} if channel is None else limits(self._service, channel.name)
