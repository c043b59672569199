"""The tables of customer service."""

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

from headrace.store.columns import Moment, id_, metadata, pair

documents = Table(
    "documents",
    metadata,
    id_(),
    Column("source", String(64), nullable=False, index=True),
    Column("place", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("language", String(16), nullable=False),
    Column("channel", String(64)),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("flag", Text),
    Column("at", Moment, nullable=False),
)

passages = Table(
    "passages",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("document", String(64), ForeignKey("documents.id"), nullable=False, index=True),
    Column("channel", String(64)),
    Column("language", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("curated", Boolean, nullable=False),
    Column("intent", Text),
    Column("url", Text, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

searches = Table(
    "searches",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    *pair(),
    Column("text", Text, nullable=False),
    Column("shown", JSON, nullable=False),
    Column("chosen", String(64)),
    Column("by", String(64)),
    Column("at", Moment, nullable=False),
    Index("searches_pair", "task", "channel"),
    sqlite_autoincrement=True,
)

conversations = Table(
    "conversations",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("channel", String(64), nullable=False),
    Column("language", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("person", String(64), index=True),
    Column("contact", Text),
    Column("at", Moment, nullable=False),
    Index("conversations_channel", "channel", "state"),
    sqlite_autoincrement=True,
)

messages = Table(
    "messages",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("conversation", String(64), ForeignKey("conversations.id"), nullable=False),
    Column("author", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("reply_to", String(64)),
    Column("sources", JSON, nullable=False),
    Column("answer", String(64)),
    Column("task", String(64)),
    Column("score", Float),
    Column("decision", String(16)),
    Column("drawn", Boolean, nullable=False),
    Column("by", String(64)),
    Column("at", Moment, nullable=False),
    Index("messages_conversation", "conversation"),
    Index("messages_reply", "reply_to", "author"),
    sqlite_autoincrement=True,
)

tickets = Table(
    "tickets",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("conversation", String(64), ForeignKey("conversations.id"), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("message", String(64), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("agent", String(64)),
    Column("changed", Moment),
    Column("at", Moment, nullable=False),
    Index("tickets_state", "state", "channel"),
    Index("tickets_conversation", "conversation"),
    sqlite_autoincrement=True,
)

checks = Table(
    "checks",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("message", String(64), nullable=False, unique=True),
    Column("right", Boolean, nullable=False),
    Column("by", String(64), nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    id_(),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("disabled", Moment),
    UniqueConstraint("name", name="users_name"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", String(64), ForeignKey("users.id"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(255), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next", Moment),
    Column("at", Moment, nullable=False),
    UniqueConstraint("channel", "direction", "id", name="deliveries_id"),
    Index("deliveries_next", "direction", "state", "next"),
    sqlite_autoincrement=True,
)
