"""The server's log: JSON lines with request, channel and answer ids, and never a key or what somebody wrote.

An exception is logged as the names of its chain and the lines they passed: messages and values may quote a
user's text, so they stay out.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from headrace.channels.keys import PREFIX

HIDDEN = "[hidden]"
_PRIVATE = frozenset(
    {"text", "texts", "body", "key", "secret", "authorization", "label", "person", "headers"}
)
_INFO = 20


def logger(stream: TextIO | None = None) -> FilteringBoundLogger:
    """A logger of its own: no other library's settings are touched. Writes to stderr by default."""
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(_INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            trace,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    return made


def trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put an exception's types and lines in place of the exception."""
    found = event.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found
    if isinstance(error, BaseException):
        event["error"], event["at"] = _names(error), _lines(error)
    return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what somebody wrote, by the field's name, and keys wherever they stand."""
    return {name: HIDDEN if name in _PRIVATE else _safe(value) for name, value in event.items()}


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return HIDDEN if PREFIX in value else value
    if isinstance(value, dict):
        return {name: HIDDEN if name in _PRIVATE else _safe(v) for name, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe(item) for item in value]
    return value if isinstance(value, int | float | bool | None) else HIDDEN


def _names(error: BaseException) -> list[str]:
    names: list[str] = []
    step: BaseException | None = error
    while step is not None and len(names) < 10:
        names.append(type(step).__name__)
        step = step.__cause__ or step.__context__
    return names


def _lines(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
