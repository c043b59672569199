"""A help site by its sitemap: each page a document, fetched by the guarded fetcher as robots.txt asks for.

`url` is the sitemap, an index of sitemaps (each also with .gz), or the site, whose robots.txt or /sitemap.xml
then names it. Only pages of that host are read, and of these only what changed since (ETag, Last-Modified). Pages
that are gone (404, 410) or left the sitemap go; those that cannot be had today stay.
"""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import error as ZlibError

from pydantic import Field

from headrace.data.connectors import Broken
from headrace.data.fetch import Fetched, Fetcher, unpacked
from headrace.data.fetch_hosts import target
from headrace.data.fetch_polite import Polite
from headrace.errors import InputError
from headrace.knowledge.formats import Read, Same
from headrace.knowledge.markup import Element, children, tree, words
from headrace.knowledge.pages import page
from headrace.recipe import Section

_SITEMAPS = 50
_IN_A_ROW = 5
"""Pages that cannot be reached one after the other: then the site is down."""
_GONE = (404, 410)


class Options(Section):
    """Which site, and how much of it."""

    url: str = Field(min_length=1, description="its sitemap, or the site itself")
    under: tuple[str, ...] = Field(default=(), description="only pages whose path begins so, as /help/")
    pages: int = Field(default=1000, ge=1, le=50_000, description="pages at most")
    delay: float = Field(default=0.5, ge=0, le=60, description="seconds between two pages at least")
    hours: float = Field(default=24, gt=0, description="after which a running server reads it again")
    allow: tuple[str, ...] = Field(
        default=(),
        description="hosts within your own network that may be read, as wiki.intranet or 10.0.0.7:8080",
    )


class Part:
    """The format; what it keeps of a page is its ETag and Last-Modified."""

    def __init__(
        self,
        options: Options,
        folder: Path,
        *,
        fetcher: Fetcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._asker = Polite(
            fetcher or Fetcher(allow=options.allow), delay=options.delay, clock=clock, sleep=sleep
        )
        self.known: dict[str, object] = {}

    def read(self) -> Iterator[Read | Broken | Same]:
        """A document a page; raises InputError where the site or its sitemap cannot be read, MissingExtra."""
        before, self.known = self.known, {}
        lost = 0
        for url in self._pages():
            if not self._is_ours(url):
                yield Broken(url, url, "another site", "a sitemap is for the pages of its own host")
                continue
            try:
                item = self._page(url, before.get(url))
            except InputError as error:
                lost += 1
                if lost >= _IN_A_ROW:
                    raise
                yield Broken(url, url, "unreachable", error.message)
                continue
            lost = 0
            if item is not None:
                yield item

    def _page(self, url: str, known: object) -> Read | Broken | Same | None:
        """One page; None where it is gone."""
        told = known if isinstance(known, dict) else {}
        got = self._asker.get(url, etag=str(told.get("etag", "")), modified=str(told.get("modified", "")))
        if got.status in _GONE:
            return None
        if not self._is_ours(got.url):
            return Broken(url, url, "another site", f"it leads to {got.url[:200]}")
        if got.status == 304 and told:
            self.known[url] = told
            return Same(url)
        if got.status != 200:
            return Broken(url, url, "unreachable", f"the site answers {got.status}")
        kind = got.headers.get("content-type", "text/html").partition(";")[0].strip().lower()
        if kind not in ("text/html", "application/xhtml+xml"):
            return Broken(url, url, "not HTML", kind[:80])
        self.known[url] = _validators(got)
        return page(got.body, url, url=got.url, encoding=_charset(got))

    def _pages(self) -> list[str]:
        """The addresses of the sitemap, each once."""
        found: dict[str, None] = {}
        waiting, seen = self._sitemaps(), set[str]()
        while waiting and len(seen) < _SITEMAPS and len(found) < self._options.pages:
            where = waiting.pop(0)
            if where in seen:
                continue
            seen.add(where)
            root = self._sitemap(where)
            waiting += _locations(root, "sitemap")
            found.update(dict.fromkeys(filter(self._is_under, _locations(root, "url"))))
        return list(found)[: self._options.pages]

    def _sitemaps(self) -> list[str]:
        where = target(self._options.url)
        if where.path.partition("?")[0].lower().endswith((".xml", ".gz")):
            return [where.url]
        return list(self._asker.sitemaps(where)) or [f"{where.site}/sitemap.xml"]

    def _sitemap(self, url: str) -> Element:
        got = self._asker.get(url)
        if got.status != 200:
            raise InputError(
                f"the sitemap cannot be read: the site answers {got.status}.",
                where=url,
                field="url",
                cure="Correct options.url; nothing of the site is taken away meanwhile.",
            )
        try:
            body = unpacked(got.body) if got.body.startswith(b"\x1f\x8b") else got.body
        except (EOFError, ZlibError) as error:
            raise InputError(
                f"the sitemap is no whole gzip file: {error}.", where=url, field="url"
            ) from error
        return tree(body, url)

    def _is_under(self, url: str) -> bool:
        path = "/" + url.partition("://")[2].partition("/")[2]
        return not self._options.under or path.startswith(self._options.under)

    def _is_ours(self, url: str) -> bool:
        try:
            host = target(url).host
        except InputError:
            return False
        return host.removeprefix("www.") == target(self._options.url).host.removeprefix("www.")


def _locations(root: Element, kind: str) -> list[str]:
    """The addresses that a sitemap holds of `url` or `sitemap`."""
    found = (words(where) for entry in children(root, kind) for where in children(entry, "loc"))
    return [where for where in found if where]


def _validators(got: Fetched) -> dict[str, str]:
    told = {"etag": got.headers.get("etag", ""), "modified": got.headers.get("last-modified", "")}
    return {name: said[:500] for name, said in told.items() if said}


def _charset(got: Fetched) -> str:
    """The encoding that the server names, where it tells something: many say Latin-1 of everything."""
    _, _, named = got.headers.get("content-type", "").lower().partition("charset=")
    try:
        codec = codecs.lookup(named.partition(";")[0].strip().strip("\"'"))
    except LookupError:
        return "auto"
    return "auto" if codec.name in ("utf-8", "iso8859-1", "ascii") else codec.name
