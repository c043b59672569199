"""Errors in OpenAI's form: {"error": {"message", "type", "param", "code"}}, never with an inner name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import orjson
from starlette.requests import Request
from starlette.responses import Response

from headrace.errors import HeadraceError, ServerFull
from headrace.web.api import problems
from headrace.web.api.edge import HEADERS
from headrace.web.api.problems import Problem


@dataclass(slots=True, eq=False)
class Fault(Exception):
    """A request that ends with an error; `param` is the caller's field."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The error's document."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        said = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return orjson.dumps({"error": said})

    def response(self) -> Response:
        """The document as a response."""
        headers = HEADERS | dict(self.headers)
        return Response(self.body(), self.status, headers=headers, media_type="application/json")


INTERNAL = Fault(
    500, "Something went wrong here. It was logged; asking again may help.", code="internal_error"
)


def of_problem(problem: Problem) -> Fault:
    """The fault that a refused body is; what is wrong in a field is a 400, as OpenAI says it."""
    status = 400 if problem.kind.status == 422 else problem.kind.status
    param = problem.errors[0][0] if problem.errors else None
    return Fault(status, problem.detail, param, problem.name.replace("-", "_"), problem.headers)


def of_error(error: HeadraceError) -> Fault:
    """The fault that an error of Headrace is to a caller; one that no caller can cause is internal."""
    found = of_problem(problems.of_error(error))
    if found.code == "internal":
        return INTERNAL
    return replace(found, code="server_full") if isinstance(error, ServerFull) else found


def of(error: Exception) -> Fault:
    """The fault that any error is to a caller."""
    if isinstance(error, Problem):
        return of_problem(error)
    if isinstance(error, HeadraceError):
        return of_error(error)
    return error if isinstance(error, Fault) else INTERNAL


async def told(_request: Request, error: Exception) -> Response:
    """The response to an error, for an application's table of handlers."""
    return of(error).response()


Route = Callable[[Request], Awaitable[Response]]


def in_openais_form(route: Route) -> Route:
    """A route whose refusals have the form of OpenAI's errors."""

    async def answered(request: Request) -> Response:
        try:
            return await route(request)
        except (Fault, Problem, HeadraceError) as error:
            return of(error).response()

    return answered
