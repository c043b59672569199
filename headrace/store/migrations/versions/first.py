"""The first schema, spelled out: what tables.py says later does not change what this step did."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _what_comes_in()
    _what_is_made()
    _what_is_said()
    _who_may_ask()


def _what_comes_in() -> None:
    _numbered(
        "rows",
        *_pair(),
        _text("source"),
        _text("text"),
        _text("label", null=True),
        _name("split", 16, null=True),
        _text("place"),
        _name("origin", 16),
        _json("masked"),
        _moment("at"),
        _name("run"),
        _name("state", 16),
    )
    op.create_index("ix_rows_state", "rows", ["state"])
    op.create_table("masked", *_pair(key=True), _name("kind", 32, key=True), _number("count"))
    _numbered(
        "quarantine",
        *_pair(),
        _text("source"),
        _text("place"),
        _text("content"),
        _text("label", null=True),
        _name("reason", 32),
        _text("detail"),
        _name("row", null=True),
        _name("text_key", null=True),
        _moment("at"),
        _moment("restored", null=True),
    )
    for column in ("reason", "row", "text_key"):
        op.create_index(f"ix_quarantine_{column}", "quarantine", [column])
    op.create_table("cursors", _name("source", key=True), _json("value"))


def _what_is_made() -> None:
    _numbered(
        "examples",
        *_pair(),
        _text("text"),
        _name("text_key"),
        _text("label"),
        _name("split", 16),
        _name("origin", 16),
        _name("same_as", null=True),
        _flag("golden"),
        _moment("at"),
    )
    op.create_index("examples_pair", "examples", ["task", "channel", "split"])
    op.create_index("ix_examples_text_key", "examples", ["text_key"])
    op.create_table(
        "adapters",
        _name("id", key=True),
        _name("task"),
        _name("channel", null=True),
        _text("base"),
        _json("labels"),
        _json("files"),
        _json("lineage"),
        _number("size"),
        _real("seconds"),
        _name("parent", null=True),
        _moment("at"),
    )
    op.create_table(
        "reports", _name("id", key=True), _names_one("adapter"), *_pair(), _json("figures"), _moment("at")
    )
    _numbered(
        "releases",
        *_pair(),
        _names_one("adapter"),
        _name("kind", 16),
        _name("previous", null=True),
        _json("evidence"),
        _moment("at"),
    )
    _numbered(
        "events",
        _name("kind", 32),
        _name("task", null=True),
        _name("channel", null=True),
        _text("message"),
        _json("evidence"),
        _moment("at"),
    )


def _what_is_said() -> None:
    op.create_table(
        "answers",
        _name("id", key=True),
        *_pair(),
        _text("text"),
        _text("label"),
        _real("confidence"),
        _name("release"),
        _name("adapter"),
        _name("because", null=True),
        _moment("at"),
    )
    _numbered(
        "feedback",
        _names_one("answer"),
        *_pair(),
        _text("text"),
        _name("verdict", 16),
        _text("label", null=True),
        _name("person", null=True),
        _flag("used"),
        _moment("at"),
    )
    op.create_table(
        "replies",
        _name("channel", key=True),
        _name("key", 255, key=True),
        _name("digest"),
        sa.Column("status", sa.Integer()),
        _text("body", null=True),
        _moment("at"),
    )


def _who_may_ask() -> None:
    op.create_table(
        "keys",
        _name("id", key=True),
        _name("channel"),
        _name("digest"),
        _name("hint", 32),
        _moment("created"),
        _moment("revoked", null=True),
        sa.UniqueConstraint("digest", name="keys_digest"),
    )
    op.create_table("usage", _name("channel", key=True), _name("day", 10, key=True), _number("asked"))
    op.create_table(
        "turns", _name("id", key=True), _json("state"), _moment("started"), _moment("finished", null=True)
    )


def _numbered(table: str, *columns: sa.Column[Any]) -> None:
    """A table whose rows count in the order in which they came."""
    number: sa.Column[Any] = sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=True)
    name: sa.Column[Any] = sa.Column("id", sa.String(64), nullable=False, unique=True)
    op.create_table(table, number, name, *columns, sqlite_autoincrement=True)


def _pair(*, key: bool = False) -> list[sa.Column[Any]]:
    return [_name(name, key=key) for name in ("task", "channel")]


def _name(name: str, length: int = 64, *, null: bool = False, key: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=null, primary_key=key)


def _names_one(noun: str) -> sa.Column[Any]:
    return sa.Column(noun, sa.String(64), sa.ForeignKey(f"{noun}s.id"), nullable=False)


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=null)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _moment(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(32), nullable=null)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _real(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Float(), nullable=False)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False)
