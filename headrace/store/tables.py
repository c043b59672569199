"""The tables."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from headrace.store.columns import Moment, id_, metadata, moment, pair
from headrace.store.service_tables import (
    checks,
    conversations,
    deliveries,
    documents,
    messages,
    passages,
    searches,
    sessions,
    tickets,
    users,
)

__all__ = [
    "Moment",
    "adapters",
    "answers",
    "audits",
    "chain",
    "chain_salts",
    "checks",
    "conversations",
    "cursors",
    "deliveries",
    "documents",
    "events",
    "examples",
    "feedback",
    "forgets",
    "keys",
    "masked",
    "messages",
    "metadata",
    "moment",
    "passages",
    "quarantine",
    "releases",
    "replies",
    "reports",
    "rows",
    "salts",
    "searches",
    "sessions",
    "shadows",
    "steps",
    "tickets",
    "trials",
    "turns",
    "usage",
    "users",
]

rows = Table(
    "rows",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    *pair(),
    Column("source", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("label", Text),
    Column("split", String(16)),
    Column("place", Text, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("masked", JSON, nullable=False),
    Column("at", Moment, nullable=False),
    Column("run", String(64), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("step", Integer),
    sqlite_autoincrement=True,
)

masked = Table(
    "masked",
    metadata,
    Column("task", String(64), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("count", Integer, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    *pair(),
    Column("source", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("label", Text),
    Column("reason", String(32), nullable=False, index=True),
    Column("detail", Text, nullable=False),
    Column("row", String(64), index=True),
    Column("text_key", String(64), index=True),
    Column("at", Moment, nullable=False),
    Column("restored", Moment),
    sqlite_autoincrement=True,
)

examples = Table(
    "examples",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    *pair(),
    Column("text", Text, nullable=False),
    Column("text_key", String(64), nullable=False, index=True),
    Column("label", Text, nullable=False),
    Column("split", String(16), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("same_as", String(64)),
    Column("golden", Boolean, nullable=False),
    Column("at", Moment, nullable=False),
    Column("decisions", Integer, nullable=False, server_default="0"),
    Index("examples_pair", "task", "channel", "split"),
    Index("examples_golden", "golden"),
    sqlite_autoincrement=True,
)

cursors = Table(
    "cursors",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

adapters = Table(
    "adapters",
    metadata,
    id_(),
    *pair(channel_null=True),
    Column("base", Text, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("files", JSON, nullable=False),
    Column("lineage", JSON, nullable=False),
    Column("size", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("parent", String(64)),
    Column("at", Moment, nullable=False),
    Column("withdrawn", Moment),
)

reports = Table(
    "reports",
    metadata,
    id_(),
    Column("adapter", String(64), ForeignKey("adapters.id"), nullable=False),
    *pair(),
    Column("figures", JSON, nullable=False),
    Column("at", Moment, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    *pair(),
    Column("adapter", String(64), ForeignKey("adapters.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("previous", String(64)),
    Column("evidence", JSON, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    *[Column(name, String(64)) for name in ("task", "channel")],
    Column("message", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

answers = Table(
    "answers",
    metadata,
    id_(),
    *pair(),
    Column("text", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("release", String(64), nullable=False),
    Column("adapter", String(64), nullable=False),
    Column("because", String(64)),
    Column("at", Moment, nullable=False),
    Column("person", String(64), index=True),
)

feedback = Table(
    "feedback",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("answer", String(64), ForeignKey("answers.id"), nullable=False),
    *pair(),
    Column("text", Text, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("label", Text),
    Column("person", String(64)),
    Column("used", Boolean, nullable=False),
    Column("at", Moment, nullable=False),
    Column("key", String(64)),
    Column("state", String(16), nullable=False, server_default="counts"),
    Column("reason", Text),
    Column("chance", Float),
    Column("space", String(64)),
    Column("embedding", Text),
    Column("changed", Integer),
    Column("step", Integer),
    Index("feedback_person", "person"),
    Index("feedback_at", "at"),
    Index("feedback_changed", "changed"),
    sqlite_autoincrement=True,
)

trials = Table(
    "trials",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    *pair(),
    *[
        Column(name, String(64), ForeignKey("adapters.id"), nullable=False)
        for name in ("champion", "challenger")
    ],
    Column("stage", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("salt", String(64), nullable=False),
    Column("settings", JSON, nullable=False),
    Column("outcome", String(32)),
    Column("evidence", JSON, nullable=False),
    Column("began", Moment, nullable=False),
    Column("ended", Moment, index=True),
    Index("trials_pair", "task", "channel"),
    sqlite_autoincrement=True,
)

shadows = Table(
    "shadows",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("answer", String(64), nullable=False, unique=True),
    Column("trial", String(64), nullable=False),
    Column("adapter", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("differs", Boolean, nullable=False),
    Column("drawn", Boolean, nullable=False),
    Column("rate", Float, nullable=False),
    Column("at", Moment, nullable=False),
    Index("shadows_trial", "trial", "differs", "drawn"),
    sqlite_autoincrement=True,
)

audits = Table(
    "audits",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("answer", String(64), nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("by", String(64), nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

chain = Table(
    "chain",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),
    Column("record", String(64), nullable=False, index=True),
    Column("commitment", String(64), nullable=False),
    Column("link", String(64), nullable=False),
    sqlite_autoincrement=True,
)

chain_salts = Table(
    "chain_salts",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=False),
    Column("value", String(64), nullable=False),
)

steps = Table(
    "steps",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    sqlite_autoincrement=True,
)

forgets = Table(
    "forgets",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("state", JSON, nullable=False),
    Column("started", Moment, nullable=False),
    Column("finished", Moment),
    sqlite_autoincrement=True,
)

salts = Table(
    "salts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(64), nullable=False),
)

replies = Table(
    "replies",
    metadata,
    Column("channel", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("status", Integer),
    Column("body", Text),
    Column("at", Moment, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    id_(),
    Column("channel", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("hint", String(32), nullable=False),
    Column("created", Moment, nullable=False),
    Column("revoked", Moment),
    Column("kind", String(16), nullable=False, server_default="secret"),
    UniqueConstraint("digest", name="keys_digest"),
)

usage = Table(
    "usage",
    metadata,
    Column("channel", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("asked", Integer, nullable=False),
)

turns = Table(
    "turns",
    metadata,
    id_(),
    Column("state", JSON, nullable=False),
    Column("started", Moment, nullable=False),
    Column("finished", Moment),
)
