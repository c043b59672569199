"""Bodies, read raw and counted while they come: a Content-Length is a claim, and pieces cost too.

No multipart: its parser is a standing source of advisories, and nothing here needs it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from headrace.web.api.problems import Problem, of_validation

M = TypeVar("M", bound=BaseModel)
_SMALLEST_PIECE = 256  # bytes; a body in smaller pieces on average is refused
_PIECES = 1024  # pieces that any body may come in
_CLOSE = {"Connection": "close"}


async def read(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes; raises Problem 413 and 415, without reading on."""
    check_type(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    pieces: list[bytes] = []
    size, most = 0, max(_PIECES, limit // _SMALLEST_PIECE)
    async for piece in request.stream():
        size += len(piece)
        pieces.append(piece)
        if size > limit:
            raise _too_large(limit)
        if len(pieces) > most:
            raise Problem("too-large", f"The body came in more than {most} pieces.", headers=_CLOSE)
    return b"".join(pieces)


def check_type(request: Request) -> None:
    """Refuse what does not say that it is JSON in UTF-8, uncompressed; raises Problem 415."""
    kind, *parameters = (p.strip().lower() for p in request.headers.get("content-type", "").split(";"))
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
    coding = request.headers.get("content-encoding", "identity").lower()
    if kind != "application/json":
        raise Problem("media-type", "The body must be JSON. Send the header Content-Type: application/json.")
    if any(charset not in ("utf-8", "utf8") for charset in charsets):
        raise Problem("media-type", "The body must be in UTF-8.")
    if coding != "identity":
        raise Problem("media-type", "The body must not be compressed.")


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
