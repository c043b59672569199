"""Retries that are safe: the rules of Stripe's API for the header Idempotency-Key.

The first status and body of a key are kept, 500s included, and given again to the same request. The same key
with another request is refused (409), and so is a twin while the first is under way. Nothing is kept of a
request that was refused before it was carried out (a wrong field, a spent quota, a full server): its key may
be used again. Keys belong to a channel, have at most 255 characters and are kept for at least 24 hours.

The reply is kept in the transaction that carries its request out, so a crash keeps both or neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from headrace.errors import HeadraceError
from headrace.store import Reply
from headrace.web.api.problems import INTERNAL, MEDIA_TYPE, Problem
from headrace.web.service import Service
from headrace.web.writer import Claim

HEADER = "Idempotency-Key"
LONGEST = 255
_REFUSALS = (Problem, HeadraceError, HTTPException, ClientDisconnect)


class Idempotency:
    """Runs each request of a key once. One an app: it knows what is in flight in this process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._flying: set[tuple[str, str]] = set()

    async def run(
        self, request: Request, channel: str, body: bytes, work: Callable[[Claim | None], Awaitable[Reply]]
    ) -> Response:
        """The response of `work`, or the first one of its key again; raises Problem 409 and 422."""
        claim = claim_of(request, channel, body)
        if claim is None:
            return _response(await work(None))
        place = (claim.channel, claim.key)
        if place in self._flying:
            raise Problem("in-flight", "The first request with this Idempotency-Key has not ended.")
        self._flying.add(place)
        try:
            earlier = await self._service.earlier(channel, claim.key)
            return _again(claim, earlier) if earlier else await self._first(request, claim, work)
        finally:
            self._flying.discard(place)

    async def _first(
        self, request: Request, claim: Claim, work: Callable[[Claim | None], Awaitable[Reply]]
    ) -> Response:
        try:
            reply = await work(claim)
        except _REFUSALS:
            raise
        except Exception:
            await self._service.keep(claim, 500, INTERNAL.body(request.scope["path"]).decode())
            raise
        # Another process may have carried the same request out meanwhile: then its reply counts.
        return _response(reply) if reply.digest == claim.digest else _again(claim, reply)


def claim_of(request: Request, channel: str, body: bytes) -> Claim | None:
    """The request's key with the digest of its route and body; raises Problem 422 for a key of bad form."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= LONGEST or not key.isascii() or not key.isprintable():
        said = f"It has 1 to {LONGEST} printable ASCII characters."
        raise Problem("invalid", f"{HEADER}: {said}", [(HEADER, said)])
    route = f"{request.method} {request.scope['path']}\n".encode()
    return Claim(channel, key, hashlib.sha256(route + body).hexdigest())


def _again(claim: Claim, reply: Reply) -> Response:
    if reply.digest != claim.digest:
        raise Problem("key-reused", "This Idempotency-Key came with another request before. Use a new one.")
    if reply.status is None:
        raise Problem("in-flight", "The first request with this Idempotency-Key has not ended.")
    response = _response(reply)
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _response(reply: Reply) -> Response:
    status = reply.status or 500
    return Response(reply.body or "", status, media_type="application/json" if status < 400 else MEDIA_TYPE)
