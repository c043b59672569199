"""Customer service: documents and passages, conversations, tickets, the console's users, deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables and columns."""
    op.add_column("keys", sa.Column("kind", sa.String(16), nullable=False, server_default="secret"))
    _knowledge()
    _conversations()
    _tickets()
    _console()
    _deliveries()


def _knowledge() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.String(64), primary_key=True),
        _name("source"),
        _text("place"),
        _text("title"),
        _name("language", 16),
        _name("channel", null=True),
        _name("digest"),
        _name("state", 16),
        _text("url"),
        _text("flag", null=True),
        _name("at", 32),
    )
    for name in ("source", "state"):
        op.create_index(f"ix_documents_{name}", "documents", [name])
    op.create_table(
        "passages",
        _seq(),
        _name("id", unique=True),
        sa.Column("document", sa.String(64), sa.ForeignKey("documents.id"), nullable=False),
        _name("channel", null=True),
        _name("language", 16),
        _text("title"),
        _text("text"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("curated", sa.Boolean(), nullable=False),
        _text("intent", null=True),
        _text("url"),
        _name("at", 32),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_passages_document", "passages", ["document"])
    op.create_table(
        "searches",
        _seq(),
        _name("id", unique=True),
        _name("task"),
        _name("channel"),
        _text("text"),
        sa.Column("shown", sa.JSON(), nullable=False),
        _name("chosen", null=True),
        _name("by", null=True),
        _name("at", 32),
        sqlite_autoincrement=True,
    )
    op.create_index("searches_pair", "searches", ["task", "channel"])


def _conversations() -> None:
    op.create_table(
        "conversations",
        _seq(),
        _name("id", unique=True),
        _name("channel"),
        _name("language", 16),
        _name("digest"),
        _name("state", 16),
        _name("person", null=True),
        _text("contact", null=True),
        _name("at", 32),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_conversations_person", "conversations", ["person"])
    op.create_index("conversations_channel", "conversations", ["channel", "state"])
    op.create_table(
        "messages",
        _seq(),
        _name("id", unique=True),
        _of_conversation(),
        _name("author", 16),
        _text("text"),
        _name("reply_to", null=True),
        sa.Column("sources", sa.JSON(), nullable=False),
        _name("answer", null=True),
        _name("task", null=True),
        sa.Column("score", sa.Float()),
        _name("decision", 16, null=True),
        sa.Column("drawn", sa.Boolean(), nullable=False),
        _name("by", null=True),
        _name("at", 32),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_conversation", "messages", ["conversation"])
    op.create_index("messages_reply", "messages", ["reply_to", "author"])


def _tickets() -> None:
    op.create_table(
        "tickets",
        _seq(),
        _name("id", unique=True),
        _of_conversation(),
        _name("channel"),
        _name("message"),
        _name("reason", 32),
        _name("state", 16),
        _name("agent", null=True),
        _name("changed", 32, null=True),
        _name("at", 32),
        sqlite_autoincrement=True,
    )
    op.create_index("tickets_state", "tickets", ["state", "channel"])
    op.create_index("tickets_conversation", "tickets", ["conversation"])
    op.create_table(
        "checks",
        _seq(),
        _name("message", unique=True),
        sa.Column("right", sa.Boolean(), nullable=False),
        _name("by"),
        _name("at", 32),
        sqlite_autoincrement=True,
    )


def _console() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(64), primary_key=True),
        _name("name"),
        _name("role", 16),
        _text("digest"),
        _name("created", 32),
        _name("disabled", 32, null=True),
        sa.UniqueConstraint("name", name="users_name"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(64), sa.ForeignKey("users.id"), nullable=False),
        _name("csrf"),
        _name("created", 32),
        _name("expires", 32),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        _seq(),
        _name("id", 255),
        _name("channel"),
        _name("direction", 8),
        _text("body"),
        _name("state", 16),
        sa.Column("tries", sa.Integer(), nullable=False),
        _name("next", 32, null=True),
        _name("at", 32),
        sa.UniqueConstraint("channel", "direction", "id", name="deliveries_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("deliveries_next", "deliveries", ["direction", "state", "next"])


def _of_conversation() -> sa.Column[str]:
    return sa.Column("conversation", sa.String(64), sa.ForeignKey("conversations.id"), nullable=False)


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=True)


def _name(name: str, length: int = 64, *, null: bool = False, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=null, unique=unique or None)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null)
