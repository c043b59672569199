"""Who may open the console, and their sessions; of a session's secret only the SHA-256 is stored."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from headrace.errors import Conflict, NotFound
from headrace.records import Role, User
from headrace.store import tables
from headrace.store.database import Database
from headrace.store.table import record, values


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that was begun at a login: whose it is, and what every form of it must send along."""

    digest: str
    user: str
    csrf: str
    created: datetime
    expires: datetime


class Users:
    """Owners and agents, by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, user: User) -> None:
        """Store a new user; raises Conflict where the name is taken."""
        with self._database.write() as connection:
            taken = select(tables.users.c.id).where(tables.users.c.name == user.name)
            if connection.execute(taken).first() is not None:
                raise _taken(user.name)
            try:
                connection.execute(tables.users.insert(), [values(user)])
            except IntegrityError as error:
                raise _taken(user.name) from error

    def list(self) -> builtins.list[User]:
        """All users by name, disabled ones included."""
        t = tables.users
        with self._database.read() as connection:
            return [record(User, row) for row in connection.execute(select(t).order_by(t.c.name))]

    def named(self, name: str) -> User | None:
        """The user of this name, disabled or not."""
        t = tables.users
        with self._database.read() as connection:
            found = connection.execute(select(t).where(t.c.name == name)).first()
        return None if found is None else record(User, found)

    def any(self, role: Role | None = None) -> bool:
        """Whether anybody may log in, in this role where named."""
        return any(one.disabled is None and role in (None, one.role) for one in self.list())

    def set_digest(self, name: str, digest: str) -> None:
        """Another password; every session of the user ends. Raises NotFound."""
        self._change(name, digest=digest)

    def disable(self, name: str, at: datetime) -> None:
        """Let a user in no more; every session of theirs ends. Raises NotFound."""
        self._change(name, disabled=at)

    def _change(self, name: str, **columns: object) -> None:
        u, s = tables.users, tables.sessions
        with self._database.write() as connection:
            found = connection.execute(select(u.c.id).where(u.c.name == name)).first()
            if found is None:
                raise NotFound(f"there is no user {name!r}.", cure="List them: headrace user list")
            connection.execute(update(u).where(u.c.id == found.id).values(columns))
            connection.execute(delete(s).where(s.c.user == found.id))


class Sessions:
    """Who is logged in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, opened: Opened) -> None:
        """Store a session; those that have expired by its beginning are forgotten."""
        t = tables.sessions
        with self._database.write() as connection:
            connection.execute(delete(t).where(t.c.expires <= opened.created))
            connection.execute(t.insert(), [values(opened)])

    def find(self, digest: str, at: datetime) -> tuple[User, Opened] | None:
        """Who holds the secret with this SHA-256, where the session lasts and the user may still log in."""
        s, u = tables.sessions, tables.users
        live = (s.c.digest == digest, s.c.expires > at)
        with self._database.read() as connection:
            found = connection.execute(select(s).where(*live)).first()
            if found is None:
                return None
            who = connection.execute(select(u).where(u.c.id == found.user, u.c.disabled.is_(None))).first()
        return None if who is None else (record(User, who), record(Opened, found))

    def end(self, digest: str) -> None:
        """Forget a session."""
        t = tables.sessions
        with self._database.write() as connection:
            connection.execute(delete(t).where(t.c.digest == digest))


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a user {name!r} already.", cure="Choose another name.")
