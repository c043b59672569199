"""In and out: login, logout, and what a visitor prefers."""

from __future__ import annotations

from starlette.responses import Response

from headrace.web.console.access import LASTS, TooMany
from headrace.web.console.visit import BOTH, COOKIE, Page, Screen, Visit
from headrace.web.console.words import LANGUAGES

_YEAR = 365 * 86_400
_PREFERENCES = {"language": LANGUAGES, "theme": ("light", "dark", "auto")}


def form(visit: Visit) -> Response:
    """The form of the login; who is logged in goes on to where they begin."""
    if visit.session is not None:
        return visit.go(visit.console.home[visit.user.role])
    anybody = visit.project.store.users.any()
    title, onward = visit.say("login.title"), visit.query("next") or ""
    return visit.page("login.html", title=title, failed="", name="", onward=onward, anybody=anybody)


def login(visit: Visit) -> Response:
    """Begin a session, or say that name or password is wrong."""
    name, password = visit.form.get("name", "").strip(), visit.form.get("password", "")
    address = visit.request.client.host if visit.request.client else ""
    try:
        secret = visit.console.access.login(name, password, address)
    except TooMany:
        return _again(visit, 429, "login.many", name)
    if secret is None:
        return _again(visit, 401, "login.wrong", name)
    user = visit.console.access.session(secret)
    begins = visit.console.home[user.user.role] if user else "/"
    response = visit.go(_local(visit.form.get("next", ""), begins))
    _set(visit, response, COOKIE, secret, int(LASTS.total_seconds()))
    return response


def logout(visit: Visit) -> Response:
    """End the session."""
    visit.console.access.logout(visit.request.cookies.get(COOKIE))
    response = visit.go("/login", said="logged_out")
    response.delete_cookie(COOKIE, path="/")
    return response


def prefer(visit: Visit) -> Response:
    """Remember a language or a theme, and go back; changes nothing of the project."""
    response = visit.go(_local(visit.query("back") or "", "/"))
    for name, known in _PREFERENCES.items():
        wanted = visit.query(name)
        if wanted in known:
            _set(visit, response, name, str(wanted), _YEAR)
    return response


def _again(visit: Visit, status: int, failed: str, name: str) -> Response:
    title, onward = visit.say("login.title"), visit.form.get("next", "")
    return visit.page(
        "login.html", status, title=title, failed=failed, name=name, onward=onward, anybody=True
    )


def _set(visit: Visit, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        secure=visit.console.secure or visit.request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def _local(path: str, otherwise: str) -> str:
    """A path of this console, never an address of somebody else's."""
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if fine else otherwise


SCREEN = Screen(
    "entrance",
    [
        Page("/login", form, roles=()),
        Page("/login", login, "POST", roles=()),
        Page("/logout", logout, "POST", roles=BOTH),
        Page("/preferences", prefer, roles=()),
    ],
)
