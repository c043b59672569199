"""/widget.js, and /widget/demo: a page of a help desk with the widget on it, for this machine's own visitors.

The demo stands under the strictest policy that the widget works with: what it shows there, it shows anywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from headrace.channels.keys import check_form
from headrace.errors import Unauthorized
from headrace.web.support import SupportService

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
_SCRIPT_HEADERS = {
    "Cache-Control": "public, max-age=600",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Accept-Encoding",
}
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Script:
    """The widget's file, as it is and packed, and the tag by which browsers know it again."""

    plain: bytes
    packed: bytes
    tag: str


@cache
def script() -> Script:
    """The widget's script."""
    plain = _file("widget.js")
    return Script(plain, gzip.compress(plain, 9, mtime=0), f'"{hashlib.sha256(plain).hexdigest()[:24]}"')


def router(support: SupportService) -> APIRouter:
    """The script, which every page may load, and the demo, which only this machine sees."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/widget.js")
    async def widget(request: Request) -> Response:
        """The script."""
        return _script(request)

    @routes.get("/widget/demo")
    async def demo(request: Request) -> Response:
        """The page of the demo."""
        _only_here(request)
        origins = {o for found in support.desk.project.recipe.channels.values() for o in found.origins}
        return _page(_demo(request, origins))

    @routes.get("/widget/demo.css")
    async def style(request: Request) -> Response:
        """Its style."""
        _only_here(request)
        return Response(_file("demo.css"), media_type="text/css; charset=utf-8")

    return routes


def _script(request: Request) -> Response:
    found, headers = script(), dict(_SCRIPT_HEADERS)
    headers["ETag"] = found.tag
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    packs = "gzip" in request.headers.get("accept-encoding", "")
    if packs:
        headers["Content-Encoding"] = "gzip"
    body = found.packed if packs else found.plain
    return Response(body, headers=headers, media_type="text/javascript; charset=utf-8")


def _only_here(request: Request) -> None:
    """Raise 404 where the page was not asked for on this machine, by its own name."""
    name = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    peer = request.client.host if request.client else ""
    if name not in _HOSTS or not ipaddress.ip_address(peer).is_loopback:
        raise HTTPException(404)


def _demo(request: Request, origins: set[str]) -> str:
    """The page, with the widget on it where a public key is given."""
    key, language = request.query_params.get("key", ""), request.query_params.get("language", "en")
    origin = f"http://{request.headers.get('host', '')}"
    try:
        check_form(key)
        tag = f'<script src="/widget.js" data-key="{escape(key)}" async></script>'
        note = (
            "" if origin in origins else _note(f"List {origin} under the channel's origins in headrace.yaml.")
        )
    except Unauthorized:
        tag, note = "", _note("Make a key with: headrace key new CHANNEL --public, and open ?key=hr_pub_...")
    language = language if language in _LANGUAGES else "en"
    page = _file(f"demo.{language}.html").decode()
    return page.replace("<!-- widget -->", f"{note}{tag}")


def _note(said: str) -> str:
    return f"<p class=note>{escape(said)}</p>"


def _page(body: str) -> Response:
    headers = {"Content-Security-Policy": POLICY}
    return Response(body, headers=headers, media_type="text/html; charset=utf-8")


def _file(name: str) -> bytes:
    return files("headrace.web.widget").joinpath(name).read_bytes()
