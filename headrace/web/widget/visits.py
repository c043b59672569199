"""How much one visitor, and one address, may ask of the widget's routes, and how many may listen at once.

Counted in each process by itself (`workers: N` allows N times as much), in windows that slide. An address is a
whole IPv4 address or the /64 network of an IPv6 one, which is what one household or machine is given.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers

from headrace.errors import QuotaSpent, ServerFull

What = Literal["call", "begin", "say", "person", "judge"]

EACH = 8
"""Streams of events that one address may have open at once."""
ALL = 1_000
"""Streams of events that a process has open at once at most."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one visitor, which is a conversation, and one address may do, as the limits library writes it."""

    address: str
    visitor: str = ""


ALLOWED: Mapping[What, Allowed] = {
    "call": Allowed("600/minute"),
    "begin": Allowed("12/minute; 120/hour"),
    "say": Allowed("60/minute; 900/hour", "15/minute; 150/hour"),
    "person": Allowed("20/minute", "5/minute"),
    "judge": Allowed("60/minute", "20/minute"),
}


class Visits:
    """Counts what visitors do; safe from several threads."""

    def __init__(
        self, allowed: Mapping[What, Allowed] = ALLOWED, *, each: int = EACH, together: int = ALL
    ) -> None:
        self._rules = {
            what: (parse_many(rule.address), parse_many(rule.visitor) if rule.visitor else [])
            for what, rule in allowed.items()
        }
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._each, self._together = each, together
        self._open: Counter[str] = Counter()

    def take(self, what: What, address: str, visitor: str = "") -> None:
        """Count one act; raises QuotaSpent where it is one too many."""
        for_address, for_visitor = self._rules[what]
        self._count(for_address, what, "address", address)
        if visitor:
            self._count(for_visitor, what, "visitor", visitor)

    def listen(self, address: str) -> None:
        """Take a place among those who listen; raises QuotaSpent where the address has many, ServerFull."""
        if self._open[address] >= self._each:
            raise QuotaSpent(f"{self._each} streams are open from this address.", retry_after=30)
        if self._open.total() >= self._together:
            raise ServerFull("too many listen.", retry_after=30)
        self._open[address] += 1

    def leave(self, address: str) -> None:
        """Give the place back."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def _count(self, rules: Sequence[RateLimitItem], *place: str) -> None:
        for rule in rules:
            if not self._limiter.hit(rule, *place):
                ends = self._limiter.get_window_stats(rule, *place).reset_time
                wait = max(1, math.ceil(ends - time.time()))
                raise QuotaSpent("that was too much in a short time.", retry_after=wait)


class Addresses:
    """Finds the address that a request comes from; `X-Forwarded-For` is believed from these proxies alone."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._proxies = [ipaddress.ip_network(proxy, strict=False) for proxy in proxies]

    def of(self, peer: str, headers: Headers) -> str:
        """The address nearest to the client that no proxy of ours has, as what is counted by."""
        path = [peer]
        if self._is_proxy(peer):
            said = ",".join(headers.getlist("x-forwarded-for"))
            path += [hop.strip() for hop in reversed(said.split(",")) if hop.strip()]
        for hop in path:
            if _parsed(hop) is None:
                break
            peer = hop
            if not self._is_proxy(hop):
                break
        return _counted(peer)

    def _is_proxy(self, hop: str) -> bool:
        found = _parsed(hop)
        return found is not None and any(found in network for network in self._proxies)


def _parsed(hop: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(hop)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _counted(address: str) -> str:
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found or address)
