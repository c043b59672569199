"""Opening hours as the recipe writes them: "mon-fri 09:00-18:00"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic_core import PydanticCustomError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LINE = re.compile(r"([a-z,\s-]+?)\s+(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)")
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Opening:
    """On these `days` (0 is Monday) from minute `start` of the day to minute `end`, beyond 1,440 on the next."""

    days: frozenset[int]
    start: int
    end: int


def opening(line: str) -> Opening:
    """One line of hours; an end before its start is on the next day. Raises ValueError with what is wrong."""
    found = _LINE.fullmatch(line.strip().lower())
    if found is None:
        raise ValueError('hours are written as "mon-fri 09:00-18:00" or "sat,sun 10:00-14:00".')
    start, end = (_minute(*found.group(i, i + 1)) for i in (2, 4))
    if start in (end, _DAY):
        raise ValueError('nothing lies between start and end; a whole day is "00:00-24:00".')
    return Opening(_days(found.group(1)), start, end if end > start else end + _DAY)


def zone(name: str) -> tzinfo:
    """The time zone called `name`, as "Europe/Berlin"; raises ValueError where there is none."""
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            'there is no such time zone; write one as "Europe/Berlin" or "Asia/Shanghai".'
        ) from None


def checked_opening(line: str) -> str:
    """The line, for pydantic."""
    try:
        opening(line)
    except ValueError as error:
        raise PydanticCustomError("hours", "{why}", {"why": str(error).rstrip(".")}) from None
    return line


def checked_zone(name: str) -> str:
    """The name, for pydantic."""
    try:
        zone(name)
    except ValueError as error:
        raise PydanticCustomError("zone", "{why}", {"why": str(error).rstrip(".")}) from None
    return name


def _minute(hour: str, minute: str) -> int:
    found = 60 * int(hour) + int(minute)
    if int(minute) > 59 or found > _DAY:
        raise ValueError(f"{hour}:{minute} is no time of a day.")
    return found


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = (name.strip() for name in part.partition("-"))
        one, other = _day(first), _day(last or first)
        found |= {(one + i) % 7 for i in range((other - one) % 7 + 1)}
    return frozenset(found)


def _day(name: str) -> int:
    if name not in DAYS:
        raise ValueError(f"{name!r} is no day; write {', '.join(DAYS)}.")
    return DAYS.index(name)
