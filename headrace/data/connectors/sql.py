"""A database by SQLAlchemy URL and a query; with `incremental`, only rows from the last position on.

Rows are streamed from a cursor on the server's side. The boundary's own rows are read again the next time,
because others with the same value may have come since; known rows add nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import URL, Connection, CursorResult, Engine, create_engine, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from headrace.data.connectors import Broken, Position, Raw
from headrace.data.fields import choose
from headrace.errors import InputError, MissingExtra, NotFound

BATCH = 1000
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Options(BaseModel):
    """Which database, which rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(min_length=1, description="SQLAlchemy URL; ${NAME} takes an environment variable")
    query: str = Field(min_length=1)
    text: str | None = Field(default=None, description="column of the text")
    label: str | None = Field(default=None, description="column of the label")
    split: str | None = Field(default=None, description="column of the split")
    incremental: str | None = Field(
        default=None, description="column that only grows, such as id or created_at"
    )


class Part:
    """The connector."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder

    def read(self, position: object | None) -> Iterator[Raw | Broken | Position]:
        """Rows of the query from `position` on.

        Raises InputError where the URL, the query or a column is wrong, NotFound for a missing SQLite file.
        """
        engine = self._engine()
        try:
            with self._plain_errors(engine.url), engine.connect() as connection:
                streaming = connection.execution_options(stream_results=True, yield_per=BATCH)
                yield from self._rows(streaming, self._begin(position))
        finally:
            engine.dispose()

    def _rows(self, connection: Connection, begin: Any) -> Iterator[Raw | Broken | Position]:
        result = self._execute(connection, begin)
        names = list(result.keys())
        o = self._options
        columns = choose(names, text=o.text, label=o.label, split=o.split, where="query")
        self._check_incremental(names)
        last: Any = None
        for number, row in enumerate(result, start=1):
            fields: Mapping[str, Any] = dict(zip(names, row, strict=True))
            value = fields[o.incremental] if o.incremental else None
            if value is not None and last is not None and value != last:
                yield Position(self._position(last))
            last = last if value is None else value
            key = f"{o.incremental} {value}" if value is not None else f"row {number}"
            yield columns.raw(fields, f"query: {key}")
        if last is not None:
            yield Position(self._position(last))

    def _execute(self, connection: Connection, begin: Any) -> CursorResult[Any]:
        query = self._options.query.strip().rstrip(";")
        if self._options.incremental is None:
            return connection.execute(text(query))
        name = connection.dialect.identifier_preparer.quote(self._options.incremental)
        rows = select(text("*")).select_from(text(f"({query}\n) AS headrace_rows")).order_by(text(name))
        if begin is None:
            return connection.execute(rows)
        beyond = text(f"{name} >= :headrace_begin OR {name} IS NULL")
        return connection.execute(rows.where(beyond), {"headrace_begin": begin})

    def _check_incremental(self, names: list[str]) -> None:
        name = self._options.incremental
        if name is not None:
            choose([name, *names], text=name, label=None, split=None, where="query")

    def _position(self, value: Any) -> object:
        return {"of": self._fingerprint(), **_packed(value)}

    def _begin(self, position: object | None) -> Any:
        """The value to go on from; None where nothing was read, or by another query."""
        if not isinstance(position, Mapping) or position.get("of") != self._fingerprint():
            return None
        return _unpacked(position)

    def _fingerprint(self) -> str:
        o = self._options
        return hashlib.sha256("\x1f".join((o.query, o.incremental or "")).encode()).hexdigest()[:16]

    def _engine(self) -> Engine:
        try:
            return create_engine(self._url(), poolclass=NullPool)
        except NoSuchModuleError as error:
            raise InputError(
                f"{error}.", field="url", where="options.url", cure="Check the part before ://."
            ) from error
        except ArgumentError:
            raise InputError(
                "not a database URL.",
                field="url",
                where="options.url",
                cure="Write it like sqlite:///crm.db or postgresql://user:password@host/name.",
            ) from None
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("psycopg"):
                raise MissingExtra("Reading from Postgres", "postgres") from error
            raise InputError(
                f"the driver {error.name!r} is not installed.",
                field="url",
                where="options.url",
                cure=f"Run: pip install {error.name}",
            ) from error

    def _url(self) -> URL:
        url = make_url(_VARIABLE.sub(_environment, self._options.url))
        if url.drivername in ("postgresql", "postgres"):
            return url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
            return url
        path = self._folder / str(url.database)
        if not path.is_file():
            # SQLite would make an empty database of a misspelt name.
            raise NotFound(
                f"there is no database file {url.database!r}.",
                where=str(self._folder),
                cure="Correct options.url.",
            )
        return url.set(database=str(path))

    @contextmanager
    def _plain_errors(self, url: URL) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
            if url.password:
                said = said.replace(str(url.password), "***")
            raise InputError(
                f"the database refused: {said}.",
                field="query",
                where=url.render_as_string(hide_password=True),
                cure="Try options.query in the database's own shell, and check options.url.",
            ) from None


def _environment(match: re.Match[str]) -> str:
    found = os.environ.get(match[1])
    if found is None:
        raise InputError(
            f"the environment variable {match[1]} is not set.",
            where="options.url",
            cure="Set it and run again.",
        )
    return found


def _packed(value: Any) -> dict[str, object]:
    """A position as JSON that `_unpacked` turns back."""
    if isinstance(value, datetime | date):
        return {"type": type(value).__name__, "value": value.isoformat()}
    if isinstance(value, Decimal):
        return {"type": "Decimal", "value": str(value)}
    if isinstance(value, int | float | str):
        return {"type": "plain", "value": value}
    raise InputError(
        f"a {type(value).__name__} cannot be a position.",
        field="incremental",
        cure="Take a column of numbers, texts or times.",
    )


def _unpacked(position: Mapping[Any, Any]) -> Any:
    value = position["value"]
    kinds: Mapping[str, Any] = {
        "datetime": datetime.fromisoformat,
        "date": date.fromisoformat,
        "Decimal": Decimal,
    }
    kind = kinds.get(position["type"])
    return kind(value) if kind else value
