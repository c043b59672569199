"""What all tables share. Times are UTC, kept as ISO text so that both databases order and return them alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    Dialect,
    MetaData,
    String,
    TypeDecorator,
)

metadata = MetaData()


def moment(value: datetime) -> str:
    """A time as it is stored."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


class Moment(TypeDecorator[datetime]):
    """A UTC time as ISO 8601 text with microseconds."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Text of fixed width, so that text order is time order."""
        return None if value is None else moment(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """The time again, in UTC."""
        return None if value is None else datetime.fromisoformat(value)


def id_() -> Column[str]:
    """The primary key."""
    return Column("id", String(64), primary_key=True)


def pair(*, channel_null: bool = False) -> list[Column[Any]]:
    """Task and channel."""
    return [
        Column("task", String(64), nullable=False),
        Column("channel", String(64), nullable=channel_null),
    ]
