"""How long: 30m, 1h, 1d."""

from __future__ import annotations

import re
from datetime import timedelta

from headrace.errors import InputError

_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_SHORTEST, _LONGEST = 60, 366 * 86_400
_WRITTEN = re.compile(r"(\d{1,6})([mhd])")


def duration(text: str, field: str) -> timedelta:
    """A number of minutes, hours or days; raises InputError, naming the option, below a minute or over a year."""
    found = _WRITTEN.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not _SHORTEST <= seconds <= _LONGEST:
        said = f"{text!r} is no time from a minute to a year."
        raise InputError(said, field=field, cure="Write 30m, 1h or 1d.")
    return timedelta(seconds=seconds)


def in_words(every: timedelta) -> str:
    """A duration as it was typed, in the largest unit that it fills: 90m, 1h, 7d."""
    minutes = int(every.total_seconds()) // 60
    for unit in ("d", "h"):
        if minutes * 60 % _UNITS[unit] == 0:
            return f"{minutes * 60 // _UNITS[unit]}{unit}"
    return f"{minutes}m"
