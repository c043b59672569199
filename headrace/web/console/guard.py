"""What every request of the console passes: the names it may call us by, its origin, and the safe headers.

A page of another site can make a browser send requests here. It cannot choose the Host or the Origin that the
browser sends with them: both are checked, which also ends DNS rebinding.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer a browser would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_RAW = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SAFE = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Guard:
    """ASGI middleware; `hosts` are the names and addresses by which the console may be called."""

    app: ASGIApp
    hosts: Collection[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope["method"], headers)
        app: ASGIApp = self.app if refused is None else PlainTextResponse(refused, 403)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.get("headers", ())}
                more = [(name, value) for name, value in _RAW.items() if name not in present]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        await app(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        """Why a request is refused before anybody looks at it; None where it is not."""
        host = headers.get("host", "")
        if _name(f"//{host}") not in self.hosts:
            return "This console is not reached by that name."
        if method in _SAFE:
            return None
        origin = headers.get("origin")
        if origin is None or urlsplit(origin).netloc != host:
            return "This form was not sent from the console."
        return None


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
