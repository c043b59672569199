"""Pages of a site, fetched as its robots.txt asks for (RFC 9309), one at a time and not too fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from headrace.data.fetch import AGENT, Fetched, Fetcher
from headrace.data.fetch_hosts import Target
from headrace.errors import InputError, MissingExtra

LONGEST_DELAY = 10.0
"""Seconds between two pages that a robots.txt may ask for."""
_ROBOTS_BYTES = 500_000


@dataclass(slots=True)
class _Rules:
    """What one site allows."""

    robots: Any
    delay: float = 0.0
    sitemaps: tuple[str, ...] = field(default=())

    def allows(self, url: str) -> bool:
        return self.robots is None or bool(self.robots.can_fetch(url, AGENT))


class Polite:
    """Asks a site for pages. `clock` and `sleep` are for tests."""

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        delay: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fetcher, self._delay, self._clock, self._sleep = fetcher, delay, clock, sleep
        self._rules: dict[str, _Rules] = {}
        self._last: dict[str, float] = {}

    def get(self, url: str, *, etag: str = "", modified: str = "") -> Fetched:
        """The page at `url`; status 304 where it is what it was under `etag` or `modified`.

        Raises InputError where it cannot be fetched or its site does not want that, MissingExtra.
        """
        headers = {"If-None-Match": etag, "If-Modified-Since": modified}
        return self._fetcher.get(url, {name: said for name, said in headers.items() if said}, self._before)

    def sitemaps(self, where: Target) -> tuple[str, ...]:
        """The sitemaps that a site's robots.txt names; raises InputError where it cannot be read."""
        return self._rules_of(where).sitemaps

    def _before(self, where: Target) -> None:
        rules = self._rules_of(where)
        if not rules.allows(where.url):
            raise InputError(
                "the site's robots.txt does not want this page to be fetched.",
                where=where.url,
                field="url",
                cure=f"If the site is yours, allow the user agent {AGENT} there.",
            )
        self._wait(where, rules.delay)

    def _wait(self, where: Target, delay: float) -> None:
        last = self._last.get(where.host)
        left = 0.0 if last is None else last + max(delay, self._delay) - self._clock()
        if left > 0:
            self._sleep(left)
        self._last[where.host] = self._clock()

    def _rules_of(self, where: Target) -> _Rules:
        found = self._rules.get(where.site)
        if found is None:
            found = self._rules[where.site] = self._read_rules(where)
        return found

    def _read_rules(self, where: Target) -> _Rules:
        """A robots.txt that is not there allows everything, one that cannot be had nothing."""
        got = self._fetcher.get(f"{where.site}/robots.txt", before=lambda hop: self._wait(hop, 0.0))
        if 400 <= got.status < 500:
            return _Rules(None)
        if got.status != 200:
            raise InputError(
                f"its robots.txt cannot be read: the site answers {got.status}.",
                where=where.site,
                field="url",
                cure="The next sync tries again.",
            )
        return _parsed(got.body[:_ROBOTS_BYTES].decode("utf-8", "replace").removeprefix("\ufeff"))


def _parsed(text: str) -> _Rules:
    try:
        from protego import Protego
    except ModuleNotFoundError as error:
        raise MissingExtra("Reading a site", "documents") from error
    robots = Protego.parse(text)
    delay = robots.crawl_delay(AGENT) or 0.0
    return _Rules(robots, min(float(delay), LONGEST_DELAY), _strings(robots.sitemaps))


def _strings(found: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(one) for one in found)
