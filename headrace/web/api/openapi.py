"""What /openapi.json says beyond what FastAPI finds: keys, raw bodies, problem documents."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from headrace.web.api.idempotency import HEADER, LONGEST
from headrace.web.api.problems import KINDS, MEDIA_TYPE
from headrace.web.api.schemas import ProblemBody

DESCRIPTION = (
    "Ask a task about a text, and say whether the answer was right. Errors are problem documents (RFC 9457)."
)
_KEYED = (400, 401, 404, 408, 409, 413, 415, 422, 429, 500, 503)
_SCHEME = "key"


def keyed(sent: type[BaseModel], answered: type[BaseModel]) -> dict[str, Any]:
    """Arguments of a route that takes a key and a JSON body."""
    body = {"required": True, "content": {"application/json": {"schema": sent.model_json_schema()}}}
    return {
        "responses": _responses(answered, _KEYED),
        "openapi_extra": {
            "security": [{_SCHEME: []}],
            "parameters": [_idempotency_key()],
            "requestBody": body,
        },
    }


def streamed(sent: type[BaseModel], answered: type[BaseModel], media_type: str) -> dict[str, Any]:
    """Arguments of a route that takes a key and lines of JSON, and answers in lines of JSON."""
    found = keyed(sent, answered)
    extra = found["openapi_extra"]
    del extra["parameters"]
    extra["requestBody"]["content"] = {media_type: extra["requestBody"]["content"].pop("application/json")}
    extra["x-lines"] = media_type
    return found


def plain(answered: type[BaseModel]) -> dict[str, Any]:
    """Arguments of a route that takes nothing."""
    return {"responses": _responses(answered, (503,))}


def finish(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its security scheme, and errors under their own media type."""
    schemes = schema.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes[_SCHEME] = {"type": "http", "scheme": "bearer", "description": "A channel's key, hr_live_..."}
    for methods in schema["paths"].values():
        for operation in methods.values():
            lines = operation.pop("x-lines", None)
            if lines:
                content = operation["responses"]["200"]["content"]
                content[lines] = content.pop("application/json")
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "content" in response:
                    response["content"] = {MEDIA_TYPE: response["content"].pop("application/json")}
    return schema


def _responses(answered: type[BaseModel], statuses: tuple[int, ...]) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {200: {"model": answered}}
    for status in statuses:
        titles = [kind.title for kind in KINDS.values() if kind.status == status]
        found[status] = {"model": ProblemBody, "description": "; or: ".join(titles)}
        if status in (429, 503):
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return found


def _idempotency_key() -> dict[str, Any]:
    return {
        "name": HEADER,
        "in": "header",
        "required": False,
        "description": "Makes a retry safe: the first reply to a key is given again, for 24 hours at least.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST},
    }
