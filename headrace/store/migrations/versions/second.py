"""Trials, audits, feedback that is held back, and the chain by which a changed past shows."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and columns."""
    _persons()
    _trials()
    _chain()


def _persons() -> None:
    op.add_column("answers", sa.Column("person", sa.String(64)))
    op.create_index("ix_answers_person", "answers", ["person"])
    op.add_column("feedback", sa.Column("key", sa.String(64)))
    op.add_column("feedback", sa.Column("state", sa.String(16), nullable=False, server_default="counts"))
    op.add_column("feedback", sa.Column("reason", sa.Text()))
    op.create_index("feedback_person", "feedback", ["person"])


def _trials() -> None:
    op.create_table(
        "trials",
        _seq(),
        _name("id", unique=True),
        _name("task"),
        _name("channel"),
        *[
            sa.Column(name, sa.String(64), sa.ForeignKey("adapters.id"), nullable=False)
            for name in ("champion", "challenger")
        ],
        _name("stage", 16),
        sa.Column("number", sa.Integer(), nullable=False),
        _name("salt"),
        sa.Column("settings", sa.JSON(), nullable=False),
        _name("outcome", 32, null=True),
        sa.Column("evidence", sa.JSON(), nullable=False),
        _name("began", 32),
        _name("ended", 32, null=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "shadows",
        _seq(),
        _name("answer", unique=True),
        _name("trial"),
        _name("adapter"),
        sa.Column("label", sa.Text(), nullable=False),
        *[sa.Column(name, sa.Float(), nullable=False) for name in ("confidence", "rate")],
        *[sa.Column(name, sa.Boolean(), nullable=False) for name in ("differs", "drawn")],
        _name("at", 32),
        sqlite_autoincrement=True,
    )
    op.create_index("shadows_trial", "shadows", ["trial", "differs", "drawn"])
    op.create_table(
        "audits",
        _seq(),
        _name("answer", unique=True),
        sa.Column("label", sa.Text(), nullable=False),
        _name("by"),
        _name("at", 32),
        sqlite_autoincrement=True,
    )


def _chain() -> None:
    op.create_table(
        "chain",
        _seq(),
        _name("kind", 32),
        _name("record"),
        _name("commitment"),
        _name("link"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chain_record", "chain", ["record"])
    op.create_table(
        "salts",
        sa.Column("name", sa.String(64), primary_key=True),
        _name("value"),
    )


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=True)


def _name(name: str, length: int = 64, *, null: bool = False, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=null, unique=unique or None)
