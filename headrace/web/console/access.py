"""Who may enter the console: users, passwords (argon2id), and sessions that begin with a login.

Tries are counted before a password is hashed, by name and by address, so that guessing costs the guesser and
not the server. A session's secret is 256 random bits in a cookie; only its SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from headrace.errors import InputError, NotFound, Refused
from headrace.records import Clock, IdMaker, Role, User
from headrace.store import Store
from headrace.store.users import Opened

SHORTEST, LONGEST = 10, 200  # characters of a password
LASTS = timedelta(hours=12)
_TRIES: RateLimitItem = parse("10 per 10 minutes")  # of one address at one name
_ADDRESS_TRIES: RateLimitItem = parse("50 per 10 minutes")
_NAME_TRIES: RateLimitItem = parse("100 per 10 minutes")
_AT_ONCE = 2  # hashes at a time; each takes 64 MB


class TooMany(Refused):
    """Too many tries to log in; ask again later."""


@dataclass(frozen=True, slots=True)
class Session:
    """A user who is logged in, and what their forms must send along."""

    user: User
    csrf: str

    def sent(self, token: str) -> bool:
        """Whether a form's token is this session's."""
        return hmac.compare_digest(self.csrf.encode(), token.encode("utf-8", "surrogatepass"))


class Access:
    """Users and their sessions in one store."""

    def __init__(
        self, store: Store, clock: Clock, ids: IdMaker, *, hasher: PasswordHasher | None = None
    ) -> None:
        self._store, self._clock, self._ids = store, clock, ids
        self._hasher = hasher or PasswordHasher()
        self._tries = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._turn = threading.BoundedSemaphore(_AT_ONCE)
        self._nobody: str | None = None

    def add(self, name: str, role: Role, password: str) -> User:
        """A new user; raises Conflict where the name is taken, InputError where the password is too short."""
        tidy = name.strip()
        if not tidy or len(tidy) > 64 or not tidy.isprintable():
            raise InputError(
                "a user's name is 1 to 64 characters.", field="name", cure="Choose another name."
            )
        user = User(self._ids("user"), tidy, role, self._hashed(password), self._clock())
        self._store.users.add(user)
        return user

    def set_password(self, name: str, password: str) -> None:
        """Another password; every session of the user ends. Raises NotFound, InputError."""
        if self._store.users.named(name) is None:
            raise NotFound(f"there is no user {name!r}.", cure="List them: headrace user list")
        self._store.users.set_digest(name, self._hashed(password))

    def login(self, name: str, password: str, address: str) -> str | None:
        """The secret of a new session; None where name or password is wrong. Raises TooMany."""
        self._count(name, address)
        user = self._store.users.named(name)
        digest = self._digest_of_nobody() if user is None else user.digest
        right = self._right(digest, password[:LONGEST])
        if user is None or user.disabled is not None or not right:
            return None
        self._tries.clear(_TRIES, address, digest_of(name))
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        self._store.sessions.begin(
            Opened(digest_of(secret), user.id, secrets.token_urlsafe(32), now, now + LASTS)
        )
        return secret

    def session(self, secret: str | None) -> Session | None:
        """Who holds this secret, while the session lasts."""
        found = self._store.sessions.find(digest_of(secret), self._clock()) if secret else None
        return None if found is None else Session(found[0], found[1].csrf)

    def logout(self, secret: str | None) -> None:
        """End the session of this secret."""
        if secret:
            self._store.sessions.end(digest_of(secret))

    def _count(self, name: str, address: str) -> None:
        """Count a try, before anything costs; raises TooMany."""
        named = digest_of(name)
        fine = [
            self._tries.hit(_TRIES, address, named),
            self._tries.hit(_ADDRESS_TRIES, address),
            self._tries.hit(_NAME_TRIES, named),
        ]
        if not all(fine):
            raise TooMany("too many tries to log in.", cure="Wait ten minutes.")

    def _hashed(self, password: str) -> str:
        if not SHORTEST <= len(password) <= LONGEST:
            raise InputError(
                f"a password has {SHORTEST} to {LONGEST} characters.",
                field="password",
                cure="Choose another.",
            )
        with self._turn:
            return self._hasher.hash(password)

    def _right(self, digest: str, password: str) -> bool:
        with self._turn:
            try:
                return self._hasher.verify(digest, password)
            except (VerificationError, InvalidHashError):
                return False

    def _digest_of_nobody(self) -> str:
        """What a name that nobody has is checked against, so that it takes as long as another."""
        if self._nobody is None:
            self._nobody = self._hashed(secrets.token_urlsafe(32))
        return self._nobody


def digest_of(secret: str) -> str:
    """The SHA-256 by which a session is stored and found, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
