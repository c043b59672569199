"""Keys of channels: a prefix, 32 random bytes in base 62, and a checksum that catches a mistyped key.

`hr_live_` is a secret, from server to server. `hr_pub_` stands in web pages: it opens the widget's routes alone,
and those only from the origins that its channel allows. Neither opens what the other does.

Only a key's SHA-256 is stored. 256 random bits need no slow hash, and a slow one would let anybody keep the
server busy with wrong keys. The prefix lets scanners of public code find a key that leaked.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from headrace.errors import Unauthorized
from headrace.records import Clock, IdMaker, Key, KeyKind, random_id, utc_now

PREFIX = "hr_live_"
PREFIXES: dict[KeyKind, str] = {"secret": PREFIX, "public": "hr_pub_"}
SECRET, CHECK = 43, 6  # characters that 256 and 32 bits take in base 62
PATTERN = re.compile(rf"(hr_live_|hr_pub_)([0-9A-Za-z]{{{SECRET}}})([0-9A-Za-z]{{{CHECK}}})")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BEARER = "Bearer "
_CURE = "Send the header `Authorization: Bearer hr_live_...`; make a key with: headrace key new CHANNEL"
_OTHER: dict[KeyKind, str] = {
    "secret": "Send a secret key, hr_live_..., from a server of yours; a public one opens the widget alone.",
    "public": "Put a public key, hr_pub_..., into web pages, and never a secret one; revoke this one.",
}


class KeyStore(Protocol):
    """What is asked of the store of keys."""

    def add(self, key: Key) -> None:
        """Store one key."""
        ...

    def by_digest(self, digest: str) -> Key | None:
        """The key with this SHA-256, revoked or not."""
        ...


def new_key(
    keys: KeyStore,
    channel: str,
    kind: KeyKind = "secret",
    *,
    clock: Clock = utc_now,
    ids: IdMaker = random_id,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> tuple[Key, str]:
    """A key for `channel`, stored as its hash, and the secret itself, which nothing can show again."""
    body = _base62(int.from_bytes(random_bytes(32), "big"), SECRET)
    prefix = PREFIXES[kind]
    secret = f"{prefix}{body}{_checksum(body)}"
    hint = f"{prefix}{body[:4]}..."
    key = Key(ids("key"), channel, digest_of(secret), hint, clock(), kind=kind)
    keys.add(key)
    return key, secret


def digest_of(secret: str) -> str:
    """The SHA-256 by which a key is stored and found, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def check_form(secret: str) -> None:
    """Refuse what cannot be a key, by its form and checksum alone; raises Unauthorized."""
    found = PATTERN.fullmatch(secret)
    if not found:
        raise Unauthorized("this is not a key of Headrace.", cure=_CURE)
    if found[3] != _checksum(found[2]):
        raise Unauthorized(
            "the key is mistyped: its checksum is wrong.",
            cure="Copy it again, or make a new one with: headrace key new CHANNEL",
        )


def bearer(header: str | None) -> str:
    """The key in an Authorization header, its form checked; raises Unauthorized."""
    if not header:
        raise Unauthorized("the request carries no key.", cure=_CURE)
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("the Authorization header is not of the kind Bearer.", cure=_CURE)
    check_form(secret.strip())
    return secret.strip()


@dataclass(frozen=True, slots=True)
class _Known:
    """A key that opens, its channel, until when that is trusted by itself, and the state it was read in."""

    id: str
    channel: str
    until: float
    state: int


class KeyRing:
    """Keys -> channels, remembered for `trust` seconds, so that a revoked key is noticed within a second.

    Who looks at the store's `version` of keys more often than that may say so (`seen`): what is remembered
    then lasts until the version changes. Only keys that open are remembered: a new one works at once. Safe
    from several threads. Keys of another `kind` open nothing.
    """

    def __init__(
        self,
        keys: KeyStore,
        kind: KeyKind = "secret",
        *,
        trust: float = 0.5,
        size: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys, self._kind = keys, kind
        self._trust, self._size, self._monotonic = trust, size, monotonic
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._version: object = None
        self._state, self._seen_until = 0, 0.0

    def remembered(self, header: str | None) -> str | None:
        """The channel, where it is known without asking the store; raises Unauthorized by form alone."""
        digest = digest_of(header[len(_BEARER) :]) if header and header.startswith(_BEARER) else ""
        with self._lock:
            known = self._known.get(digest)
        if known is None:
            bearer(header)  # what is remembered opens, so only the form of others is checked
            return None
        return known.channel if self._trusted(known) else None

    def authenticate(self, header: str | None) -> str:
        """The channel whose key an Authorization header carries; raises Unauthorized."""
        return self.remembered(header) or self._look_up(digest_of(bearer(header)))

    def key_of(self, header: str | None) -> str:
        """The id of the key that an Authorization header carries; raises Unauthorized."""
        digest = digest_of(bearer(header))
        with self._lock:
            known = self._known.get(digest)
        key = None if known else self._keys.by_digest(digest)
        if known is None and key is None:
            raise Unauthorized("the key opens nothing.", cure=_CURE)
        return known.id if known else key.id if key else ""

    def seen(self, version: object, at: float) -> None:
        """Say which version of the store's keys was read after the moment `at` of the monotonic clock."""
        with self._lock:
            if version != self._version:
                self._version = version
                self._state += 1
            self._seen_until = at + self._trust

    def _trusted(self, known: _Known) -> bool:
        now = self._monotonic()
        return now < known.until or (known.state == self._state and now < self._seen_until)

    def _look_up(self, digest: str) -> str:
        # Before the look-up, so that what the store says is trusted for no longer than `trust`.
        until, state = self._monotonic() + self._trust, self._state
        key = self._keys.by_digest(digest)
        opens = key is not None and key.revoked is None and key.kind == self._kind
        with self._lock:
            self._known.pop(digest, None)
            if key is not None and opens:
                self._known[digest] = _Known(key.id, key.channel, until, state)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        if key is None:
            raise Unauthorized("the key opens nothing.", cure=_CURE)
        if key.revoked is not None:
            raise Unauthorized("the key was revoked.", cure="Make a new one with: headrace key new CHANNEL")
        if not opens:
            raise Unauthorized(f"a {key.kind} key does not open this.", cure=_OTHER[self._kind])
        return key.channel


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), CHECK)
