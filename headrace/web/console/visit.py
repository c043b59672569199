"""One request of one user: what was asked, who asks, and how pages are answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from headrace.errors import Conflict, HeadraceError, InputError, NotFound, Refused, StoreError
from headrace.project import Project
from headrace.records import Role, User
from headrace.web.console import words
from headrace.web.console.access import Session
from headrace.web.console.pages import render
from headrace.web.console.place import Console

COOKIE, TOKEN = "headrace_session", "csrf"
FORM = 200_000  # bytes
BOTH: tuple[Role, ...] = ("owner", "agent")
OWNER: tuple[Role, ...] = ("owner",)
_STATUS: tuple[tuple[type[HeadraceError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (InputError, 422),
    (Refused, 429),
    (StoreError, 503),
)


@dataclass(frozen=True, slots=True)
class Page:
    """A path, what answers it, and who may ask; `roles` empty is everybody, logged in or not."""

    path: str
    answer: Callable[[Visit], Response]
    method: str = "GET"
    roles: Sequence[Role] = OWNER


@dataclass(frozen=True, slots=True)
class Screen:
    """A place of the navigation with its pages; the first page's path leads there."""

    name: str
    pages: Sequence[Page]

    @property
    def path(self) -> str:
        """Where it begins."""
        return self.pages[0].path

    def open_to(self, role: Role) -> bool:
        """Whether somebody of this role sees it."""
        return role in self.pages[0].roles


@dataclass(frozen=True, slots=True)
class Visit:
    """A request with its form, the user who is logged in, and the language of the answer."""

    console: Console
    screens: Sequence[Screen]
    request: Request
    language: words.Language
    session: Session | None = None
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Project:
        """The project."""
        return self.console.project

    @property
    def user(self) -> User:
        """Who asks; only where the page asks for a role."""
        if self.session is None:
            raise Refused("nobody is logged in.")
        return self.session.user

    def query(self, name: str) -> str | None:
        """A parameter of the address, None where it is missing or empty."""
        return self.request.query_params.get(name) or None

    def given(self, name: str) -> str:
        """A field of the form; raises InputError where it is missing or empty."""
        value = self.form.get(name, "").strip()
        if not value:
            raise InputError(f"the field {name} is empty.", field=name, cure="Go back and fill it in.")
        return value

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def say(self, key: str, **values: object) -> str:
        """Words in the visitor's language."""
        return words.say(self.language, key, **values)

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """A page, or a part of one, in the visitor's language."""
        return HTMLResponse(render(template, self._known() | values), status)

    def go(self, path: str, said: str = "", **query: str) -> Response:
        """On to another page, which tells what was done: `said` is a key of the words."""
        asked = query | ({"said": said} if said else {})
        return RedirectResponse(f"{path}?{urlencode(asked)}" if asked else path, 303)

    def problem(self, error: HeadraceError) -> Response:
        """The page of an error: what happened, where, and the cure."""
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        return self.page("problem.html", status, error=error, title=self.say("problem.title"))

    def refused(self, status: int, key: str) -> Response:
        """The page of a request that is not allowed."""
        return self.page("refused.html", status, key=key, title=self.say("problem.title"))

    def _known(self) -> dict[str, object]:
        said = self.query("said") or ""
        user = self.session.user if self.session else None
        theme = self.request.cookies.get("theme", "")
        return {
            "t": self.say,
            "named": lambda kind, value: words.name(self.language, kind, value),
            "language": self.language,
            "theme": theme if theme in ("light", "dark") else "",
            "user": user,
            "home": self.console.home[user.role] if user else "/login",
            "csrf": self.session.csrf if self.session else "",
            "nav": [one for one in self.screens if user and one.open_to(user.role)],
            "queue_count": self.console.waiting() if user else 0,
            "here": self.request.url.path,
            "address": quote(self._address(), safe=""),
            "project_name": self.project.recipe.name,
            "said": f"said.{said}" if f"said.{said}" in words.catalogue() else "",
            "query": self.request.query_params,
        }

    def _address(self) -> str:
        asked = [(name, value) for name, value in self.request.query_params.multi_items() if name != "said"]
        path = self.request.url.path if self.request.method == "GET" else "/"
        return f"{path}?{urlencode(asked)}" if asked else path


def endpoint(
    console: Console, screens: Sequence[Screen], page: Page
) -> Callable[[Request], Awaitable[Response]]:
    """What answers requests for `page`, in a thread: verbs of the project may take their time."""

    async def answer(request: Request) -> Response:
        form = await _form(request) if page.method == "POST" else {}
        if form is None:
            return Response("This form cannot be read.", 400)
        return await run_in_threadpool(_answered, console, screens, page, request, form)

    return answer


def language_of(request: Request) -> words.Language:
    """The language that a visitor chose, or whose browser asks for it."""
    return words.chosen(request.cookies.get("language"), request.headers.get("accept-language", ""))


def _answered(
    console: Console, screens: Sequence[Screen], page: Page, request: Request, form: Mapping[str, str]
) -> Response:
    session = console.access.session(request.cookies.get(COOKIE))
    visit = Visit(console, screens, request, language_of(request), session, form)
    try:
        console.look()
        return _refusal(visit, page) or page.answer(visit)
    except HeadraceError as error:
        return visit.problem(error)


def _refusal(visit: Visit, page: Page) -> Response | None:
    """Why this user may not have this page; None where they may."""
    if not page.roles:
        return None
    if visit.session is None:
        return visit.go("/login", next=visit.request.url.path) if page.method == "GET" else _logged_out(visit)
    if page.method == "POST" and not visit.session.sent(visit.form.get(TOKEN, "")):
        return visit.refused(403, "refused.form")
    return None if visit.user.role in page.roles else visit.refused(403, "refused.role")


def _logged_out(visit: Visit) -> Response:
    return visit.refused(401, "refused.session")


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form, the last of each name; None where it is none or too long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM:
            return None
    try:
        fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return None
    return {name: values[-1] for name, values in fields.items()}
