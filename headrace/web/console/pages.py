"""Templates -> HTML. Every value is escaped; a name that a template does not get is an error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from headrace.reports.grids import short

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
NOTHING = "–"


@cache
def environment() -> Environment:
    """The templates of the console."""
    made = Environment(
        loader=PackageLoader("headrace.web.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "percent": percent, "points": points, "when": when, "short": short}
    return made


def render(template: str, values: Mapping[str, object]) -> str:
    """A page, or a part of one."""
    return environment().get_template(template).render({"version": version(), **values})


@cache
def static() -> Mapping[str, tuple[bytes, str]]:
    """The files that pages fetch: content and media type by name."""
    folder = files("headrace.web.console").joinpath("static")
    kept = [item for item in folder.iterdir() if item.name.rpartition(".")[2] in TYPES]
    return {item.name: (item.read_bytes(), TYPES[item.name.rpartition(".")[2]]) for item in kept}


@cache
def version() -> str:
    """What changes when a static file does, so that browsers may keep them for good."""
    digest = hashlib.sha256()
    for name, (content, _) in sorted(static().items()):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()[:12]


def number(value: float | None) -> str:
    """A number with thousands set apart."""
    return NOTHING if value is None else f"{value:,.0f}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share in percent."""
    return NOTHING if share is None else f"{100 * share:.{digits}f} %"


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def when(moment: datetime | None) -> str:
    """A moment in UTC, to the minute."""
    return NOTHING if moment is None else f"{moment:%Y-%m-%d %H:%M}"
