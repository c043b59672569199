"""Trials, audits, feedback that is held back, and the chain by which a changed past shows."""

import hashlib
import json
import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and columns."""
    _persons()
    _trials()
    _chain()
    _forgets()
    _adopt()


def _persons() -> None:
    op.add_column("answers", sa.Column("person", sa.String(64)))
    op.create_index("ix_answers_person", "answers", ["person"])
    op.add_column("examples", sa.Column("decisions", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("examples_golden", "examples", ["golden"])
    op.add_column("feedback", sa.Column("key", sa.String(64)))
    op.add_column("feedback", sa.Column("state", sa.String(16), nullable=False, server_default="counts"))
    op.add_column("feedback", sa.Column("reason", sa.Text()))
    op.add_column("feedback", sa.Column("chance", sa.Float()))
    op.add_column("feedback", sa.Column("space", sa.String(64)))
    op.add_column("feedback", sa.Column("embedding", sa.Text()))
    op.add_column("feedback", sa.Column("changed", sa.Integer()))
    op.add_column("feedback", sa.Column("step", sa.Integer()))
    op.add_column("rows", sa.Column("step", sa.Integer()))
    op.add_column("adapters", sa.Column("withdrawn", sa.String(32)))
    for name in ("person", "at", "changed"):
        op.create_index(f"feedback_{name}", "feedback", [name])


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
    op.create_index("ix_trials_ended", "trials", ["ended"])
    op.create_index("trials_pair", "trials", ["task", "channel"])
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
        "chain_salts",
        sa.Column("entry", sa.Integer(), primary_key=True, autoincrement=False),
        _name("value"),
    )
    op.create_table(
        "salts",
        sa.Column("name", sa.String(64), primary_key=True),
        _name("value"),
    )


def _forgets() -> None:
    op.create_table("steps", _seq(), sqlite_autoincrement=True)
    op.create_table(
        "forgets",
        _seq(),
        _name("id", unique=True),
        sa.Column("state", sa.JSON(), nullable=False),
        _name("started", 32),
        _name("finished", 32, null=True),
        sqlite_autoincrement=True,
    )


def _adopt() -> None:
    """Chain the history that an earlier version wrote, in the order of time: from now on a change shows."""
    bind = op.get_bind()
    known = sa.MetaData()
    found: list[tuple[str, int, int, str, dict[str, object]]] = []
    for order, name in enumerate(_HISTORY):
        table = sa.Table(name, known, autoload_with=bind)
        for number, row in enumerate(bind.execute(sa.select(table).order_by(table.c[_HISTORY[name]]))):
            values = {str(key): value for key, value in row._mapping.items() if value is not None}
            if name != "turns" or "finished" in values:
                at = str(values.get("finished") or values["at"])
                found.append((at, order, number, name, values))
    link = ""
    for entry, (_, _, _, name, values) in enumerate(sorted(found, key=lambda one: one[:3]), 1):
        salt, kind = secrets.token_hex(32), name.removesuffix("s")
        said = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        commitment = hashlib.sha256(bytes.fromhex(salt) + said.encode("utf-8", "surrogatepass")).hexdigest()
        joined = "\x1f".join((link, kind, str(values["id"]), commitment))
        link = hashlib.sha256(joined.encode()).hexdigest()
        bind.execute(
            sa.text("INSERT INTO chain (kind, record, commitment, link) VALUES (:k, :r, :c, :l)"),
            {"k": kind, "r": values["id"], "c": commitment, "l": link},
        )
        bind.execute(
            sa.text("INSERT INTO chain_salts (entry, value) VALUES (:e, :v)"), {"e": entry, "v": salt}
        )


# The tables of history and what orders each.
_HISTORY = {"adapters": "at", "reports": "at", "releases": "seq", "events": "seq", "turns": "finished"}


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=True)


def _name(name: str, length: int = 64, *, null: bool = False, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=null, unique=unique or None)
