"""Bodies, read raw and counted while they come: a Content-Length is a claim, and pieces cost too.

No multipart: its parser is a standing source of advisories, and nothing here needs it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive

from headrace.web.api.problems import Problem, of_validation

M = TypeVar("M", bound=BaseModel)
_SMALLEST_PIECE = 256  # bytes; a body in smaller pieces on average is refused
_PIECES = 1024  # pieces that any body may come in
_CLOSE = {"Connection": "close"}


async def read(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    """The body, at most `limit` bytes; raises Problem 413 and 415, without reading on."""
    check_type(headers)
    declared = headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    pieces: list[bytes] = []
    size, most = 0, max(_PIECES, limit // _SMALLEST_PIECE)
    async for piece in pieces_of(receive):
        size += len(piece)
        pieces.append(piece)
        if size > limit:
            raise _too_large(limit)
        if len(pieces) > most:
            raise Problem("too-large", f"The body came in more than {most} pieces.", headers=_CLOSE)
    return b"".join(pieces)


async def pieces_of(receive: Receive) -> AsyncIterator[bytes]:
    """A body as it comes; raises ClientDisconnect where the client goes before its end."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")


def check_type(headers: Mapping[str, str], wanted: str = "application/json") -> None:
    """Refuse what does not say that it is JSON in UTF-8, uncompressed; raises Problem 415."""
    said = headers.get("content-type", "")
    if said != wanted:
        kind, *parameters = (p.strip().lower() for p in said.split(";"))
        charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
        if kind != wanted:
            raise Problem("media-type", f"The body must be JSON. Send the header Content-Type: {wanted}.")
        if any(charset not in ("utf-8", "utf8") for charset in charsets):
            raise Problem("media-type", "The body must be in UTF-8.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("media-type", "The body must not be compressed.")


def json_response(content: Any, status: int = 200) -> Response:
    """A body of JSON on its way out."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"A body has at most {limit} bytes.", headers=_CLOSE)


def parse(model: type[M], body: bytes) -> M:
    """The body as `model`; raises Problem 400 saying where it breaks, 422 naming the fields."""
    try:
        return model.model_validate(_json(body))
    except ValidationError as error:
        raise of_validation(error, model.model_fields) from None


def _json(body: bytes) -> Any:
    try:
        body.decode("utf-8")
        return orjson.loads(body)
    except UnicodeDecodeError as error:
        detail = f"The body is not UTF-8: byte {error.start} (from 0) is 0x{body[error.start]:02x}."
    except orjson.JSONDecodeError as error:
        detail = f"The body is not JSON: line {error.lineno}, column {error.colno}: {error.msg}."
    raise Problem("bad-body", detail)
