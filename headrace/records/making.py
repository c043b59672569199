"""What every record is made with: a clock, ids, plain JSON. Passed in where a test must hold them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

Clock = Callable[[], datetime]
IdMaker = Callable[[str], str]
Json = Mapping[str, object]


def utc_now() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


def random_id(kind: str) -> str:
    """The default id maker: the kind's prefix, the millisecond, and 80 random bits: `ans_19ab5...`.

    Ids in the order of their making let a database append where it would else write all over its index.
    """
    return f"{kind}_{time.time_ns() // 1_000_000:011x}{os.urandom(10).hex()}"


def content_id(kind: str, *parts: str) -> str:
    """An id that is the hash of `parts`: the same parts give the same id on every machine."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kind}_{digest[:24]}"
