"""/docs: a page made from the OpenAPI document. One style, allowed by its hash; no script at all."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from headrace.web.api.edge import POLICY
from headrace.web.api.problems import KINDS

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1c2430}"
    "h1,h2,h3{line-height:1.2}h2{border-top:1px solid #d5dbe3;padding-top:1.5rem;margin-top:2.5rem}"
    "code,pre{font:14px/1.45 ui-monospace,monospace;background:#f2f4f7;border-radius:4px}"
    "code{padding:.1em .3em}pre{padding:.8rem;overflow-x:auto}pre code{padding:0}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #e3e7ed}"
    "@media (prefers-color-scheme:dark){body{background:#14181e;color:#dfe5ee}code,pre{background:#222932}"
    "h2,th,td{border-color:#333c48}a{color:#8ab4f8}}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
DOCS_POLICY = f"{POLICY}; style-src 'sha256-{_HASH}'"
Tree = Mapping[str, Any]


def router(schema: Callable[[], Tree]) -> APIRouter:
    """The route of the page; `schema` gives the OpenAPI document."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    async def docs(_request: Request) -> Response:
        headers = {"Content-Security-Policy": DOCS_POLICY}
        return Response(page(schema()), media_type="text/html; charset=utf-8", headers=headers)

    return routes


def page(schema: Tree) -> str:
    """The documentation of an OpenAPI document as one HTML page."""
    title = escape(schema["info"]["title"])
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{title} API</title><style>{STYLE}</style></head><body>",
        f"<h1>{title} API</h1><p>{escape(schema['info']['description'])} ",
        'The same for machines: <a href="/openapi.json">/openapi.json</a>.</p>',
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts += _operation(path, method, operation, schema)
    return "".join([*parts, *_problems(), "</body></html>"])


def _operation(path: str, method: str, operation: Tree, schema: Tree) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code> {escape(operation['summary'])}</h2>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    if operation.get("security"):
        yield "<p>Needs a key: <code>Authorization: Bearer hr_live_...</code></p>"
    for parameter in operation.get("parameters", ()):
        yield f"<p>Header <code>{escape(parameter['name'])}</code>: {escape(parameter['description'])}</p>"
    if "requestBody" in operation:
        ((kind, content),) = operation["requestBody"]["content"].items()
        yield f"<h3>Send</h3>{_described(content['schema'])}{_example(path, kind, content['schema'])}"
    yield "<h3>Receive</h3>"
    for status, response in operation["responses"].items():
        if int(status) < 400:
            ((_, content),) = response["content"].items()
            yield _answered(content["schema"], schema)
    yield f"<table><tr><th>Status</th><th>Means</th></tr>{_statuses(operation['responses'])}</table>"


def _answered(found: Tree, schema: Tree) -> str:
    """The tables of a response's model and of the models within it."""
    name = str(found.get("$ref", "")).rsplit("/", 1)[-1]
    if not name:
        return ""
    model = schema["components"]["schemas"][name]
    inner = (value.get("items", {}) for value in model["properties"].values())
    return _described(model) + "".join(_answered(each, schema) for each in inner)


def _described(model: Tree) -> str:
    """A model's text and the table of its fields."""
    needed = model.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(value))}</td>"
        f"<td>{'yes' if name in needed else 'no'}</td></tr>"
        for name, value in model["properties"].items()
    )
    head = "<tr><th>Field</th><th>Is</th><th>Always</th></tr>"
    return f"<p>{_coded(model.get('description', ''))}</p><table>{head}{rows}</table>"


def _kind(value: Tree) -> str:
    if "anyOf" in value:
        return " or ".join(_kind(each) for each in value["anyOf"])
    if "enum" in value:
        return " or ".join(map(repr, value["enum"]))
    if "$ref" in value:
        return str(value["$ref"]).rsplit("/", 1)[-1]
    kind = str(value.get("type", value.get("const", "")))
    if "items" in value:
        return f"list of {_kind(value['items'])}" + _most(value.get("maxItems"), "items")
    return kind + _most(value.get("maxLength"), "characters")


def _most(count: object, noun: str) -> str:
    return f" (at most {count:,} {noun})" if isinstance(count, int) else ""


def _example(path: str, kind: str, sent: Tree) -> str:
    fields = sent["properties"].items()
    body = {name: value["examples"][0] for name, value in fields if value.get("examples")}
    body |= {name: value["enum"][0] for name, value in fields if value.get("enum")}
    lines = [
        f"curl -s http://127.0.0.1:8420{path} \\",
        f'  -H "Authorization: Bearer $HEADRACE_KEY" -H "Content-Type: {kind}" \\',
        f"  -d '{json.dumps(body)}'",
    ]
    return f"<pre><code>{escape(chr(10).join(lines), quote=False)}</code></pre>"


def _statuses(responses: Tree) -> str:
    return "".join(
        f"<tr><td>{status}</td><td>{escape(response.get('description', ''))}</td></tr>"
        for status, response in responses.items()
    )


def _problems() -> Iterator[str]:
    yield "<h2>Problems</h2><table><tr><th>Status</th><th>type</th><th>Means</th></tr>"
    for kind in KINDS.values():
        yield f'<tr id="{kind.name}"><td>{kind.status}</td><td><code>/docs#{kind.name}</code></td>'
        yield f"<td>{escape(kind.title)}. {_coded(kind.meaning)}</td></tr>"
    yield "</table>"


def _coded(text: str) -> str:
    """Escaped, with what stands in backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
