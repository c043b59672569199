"""Errors -> problem documents (RFC 9457). They name the caller's field, never an inner name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import Response

from headrace.errors import (
    Conflict,
    HeadraceError,
    InputError,
    NotFound,
    NotServed,
    QuotaSpent,
    ServerFull,
    StoreError,
    Unauthorized,
)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its `name` ends its type's URI and is its place on the page of documentation."""

    name: str
    status: int
    title: str
    meaning: str


def _kinds(*kinds: Kind) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


KINDS = _kinds(
    Kind("bad-body", 400, "The body cannot be read", "It is not UTF-8, or not JSON; the detail says where."),
    Kind("bad-request", 400, "The request cannot be read", "A header or the path is malformed."),
    Kind("unauthorized", 401, "No valid key", "Send `Authorization: Bearer hr_live_...`."),
    Kind(
        "origin", 403, "Not from this page", "The channel does not list the page's origin, or none was sent."
    ),
    Kind("not-found", 404, "Not found", "The path, or an id in the body, is nothing that this key can see."),
    Kind("method", 405, "Method not allowed", "The header Allow says which are."),
    Kind("timeout", 408, "The request took too long", "It was not sent in full in time."),
    Kind("conflict", 409, "Conflict", "It contradicts what is there already."),
    Kind("key-reused", 409, "The idempotency key was used", "Each key belongs to one request with one body."),
    Kind("in-flight", 409, "The first request is under way", "Ask again when it has ended."),
    Kind("too-large", 413, "The body is too large", "The detail says how many bytes are taken."),
    Kind(
        "media-type", 415, "Not JSON", "Send the `Content-Type` that the route takes, in UTF-8, uncompressed."
    ),
    Kind("invalid", 422, "A field is wrong", "`field` names it; `errors` lists all of them."),
    Kind(
        "quota",
        429,
        "More than the quota allows",
        "The header Retry-After says in how many seconds it is renewed.",
    ),
    Kind("head-too-large", 431, "The head is too large", "Send fewer or shorter headers."),
    Kind("internal", 500, "An error of ours", "It was logged under the id in the header Request-Id."),
    Kind("full", 503, "The server is full", "Ask again after the seconds in the header Retry-After."),
    Kind("not-served", 503, "Not served yet", "No adapter was released for this task and channel yet."),
    Kind("store", 503, "The store takes nothing", "The request was not carried out; ask again later."),
)

_BY_STATUS = {400: "bad-request", 404: "not-found", 405: "method", 413: "too-large", 415: "media-type"}
_BY_ERROR: tuple[tuple[type[HeadraceError], str], ...] = (
    (Unauthorized, "unauthorized"),
    (QuotaSpent, "quota"),
    (ServerFull, "full"),
    (NotServed, "not-served"),
    (NotFound, "not-found"),
    (Conflict, "conflict"),
    (InputError, "invalid"),
    (StoreError, "store"),
)
_NOT_SERVED_WAIT, _STORE_WAIT = 30, 5  # seconds
_MISTAKES = 20  # of a body, told at once


@dataclass(slots=True, eq=False)
class Problem(Exception):
    """A request that ends with a problem document; `name` is one of KINDS."""

    name: str
    detail: str
    errors: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """The kind it is of."""
        return KINDS[self.name]

    def body(self, path: str) -> bytes:
        """The document; `path` is the request's."""
        kind = self.kind
        document: dict[str, object] = {
            "type": f"/docs#{kind.name}",
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            "instance": quote(path[:200], safe="/", errors="replace"),
        }
        if self.errors:
            document["field"] = self.errors[0][0]
            document["errors"] = [{"field": name, "detail": said} for name, said in self.errors]
        return orjson.dumps(document)

    def response(self, request: Request) -> Response:
        """The document as a response."""
        return Response(
            self.body(request.scope["path"]),
            self.kind.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


INTERNAL = Problem("internal", "Something went wrong here. It was logged; asking again may help.")


def of_error(error: HeadraceError) -> Problem:
    """The problem that an error of Headrace is to a caller; one that no caller can cause is internal."""
    name = next((name for kind, name in _BY_ERROR if isinstance(error, kind)), "internal")
    if name == "internal":
        return INTERNAL
    if name == "store":
        return Problem(
            name, "It could not be stored, so it was not carried out.", headers=_retry(_STORE_WAIT)
        )
    detail = _sentence(f"{error.what} {error.cure}".strip())
    errors = [(error.field or "body", detail)] if isinstance(error, InputError) else []
    return Problem(name, detail, errors, _headers(error))


def of_status(status: int, headers: Mapping[str, str] | None) -> Problem:
    """The problem of the framework's own refusal: no such path, no such method."""
    name = _BY_STATUS.get(status, "internal" if status >= 500 else "bad-request")
    return Problem(name, KINDS[name].meaning, headers=dict(headers or {}))


def of_validation(error: ValidationError, known: Iterable[str]) -> Problem:
    """Every mistake of a body, each with its field; `known` are the fields it may have."""
    names = list(known)
    found = error.errors(include_url=False, include_context=False, include_input=False)[:_MISTAKES]
    errors = [(_field(details["loc"]), _said(details, names)) for details in found]
    name, said = errors[0]
    return Problem("invalid", f"{name}: {said}", errors)


def _headers(error: HeadraceError) -> dict[str, str]:
    if isinstance(error, QuotaSpent | ServerFull):
        return _retry(error.retry_after)
    if isinstance(error, NotServed):
        return _retry(_NOT_SERVED_WAIT)
    return {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthorized) else {}


def _retry(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def _field(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return path.lstrip(".")[:100] or "body"


def _said(details: ErrorDetails, known: Sequence[str]) -> str:
    if details["type"] == "missing":
        return "It is missing."
    if details["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(details["loc"][-1])[:100], known, n=1)
        return f"There is no such field. Did you mean {near[0]!r}?" if near else "There is no such field."
    return _sentence(details["msg"].removeprefix("Value error, "))[:300]


def _sentence(text: str) -> str:
    ended = text if text.endswith((".", "?", "!")) else f"{text}."
    return ended[0].upper() + ended[1:]
