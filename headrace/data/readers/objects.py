"""JSON lines, and a JSON array read object by object without holding it whole."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.data.connectors import Broken
from headrace.data.encodings import CHUNK, mark_length
from headrace.data.fields import escaped
from headrace.data.readers.lines import MAX_BYTES, SHOWN, Line, Source, read_lines, too_large
from headrace.errors import InputError

_GAP = re.compile(r"[\s,]*")
_NEXT = re.compile(r"\}\s*,\s*(?=\{)")


@dataclass(frozen=True, slots=True)
class Thing:
    """One JSON object and where it stands."""

    place: str
    fields: dict[str, Any]


def read_json_lines(source: Source) -> Iterator[Thing | Broken]:
    """An object a line; blank lines are skipped."""
    for line in read_lines(source):
        if isinstance(line, Broken):
            yield line
        elif line.text.strip():
            yield _thing(source, line)


def _thing(source: Source, line: Line) -> Thing | Broken:
    place = source.place(line.number)
    try:
        value = json.loads(line.text)
    except json.JSONDecodeError as error:
        return Broken(place, line.text, "invalid JSON", f"{error.msg} at character {error.colno}")
    except (ValueError, RecursionError) as error:
        return Broken(place, line.text, "invalid JSON", str(error))
    return _object(place, value, line.text)


def _object(place: str, value: Any, content: str) -> Thing | Broken:
    if not isinstance(value, dict):
        detail = f"a {type(value).__name__} where an object with fields belongs"
        return Broken(place, escaped(content), "invalid JSON", detail)
    return Thing(place, value)


def read_json_array(source: Source) -> Iterator[Thing | Broken]:
    """The objects of a JSON array. Raises InputError where the file holds something else."""
    window = _Window(source)
    if not window.opens():
        raise InputError(
            "the file does not hold a list of objects.",
            where=source.name,
            cure='Write [{"text": ...}, ...], or one object a line and name the file .jsonl.',
        )
    while (found := window.next()) is not None:
        yield found


class _Window:
    """The part of a JSON text that is being read, and the line at which it stands."""

    def __init__(self, source: Source) -> None:
        self._source, self._chunks = source, _characters(source)
        self._text, self._at, self._line, self._ended = "", 0, 1, False
        self._decoder = json.JSONDecoder()

    def opens(self) -> bool:
        """Step over the opening bracket, if that is what the file starts with."""
        self._fill()
        start = len(self._text) - len(self._text.lstrip())
        if self._text[start : start + 1] != "[":
            return False
        self._move(start + 1)
        return True

    def next(self) -> Thing | Broken | None:
        """The next element, None at the end of the array."""
        while True:
            self._skip()
            if self._at >= len(self._text):
                return None
            if self._text[self._at] == "]":
                return None
            place = self._source.place(self._line)
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._wants_more(error):
                    continue
                return self._broken(place, error)
            content = self._text[self._at : end]
            self._move(end)
            return _odd(place, content) or _object(place, value, content)

    def _skip(self) -> None:
        while True:
            gap = _GAP.match(self._text, self._at)
            self._move(gap.end() if gap else self._at)
            if self._at < len(self._text) or self._ended:
                return
            self._fill()

    def _wants_more(self, error: Exception) -> bool:
        """Read on where the element may only be cut off; False where it is broken or too large."""
        if self._ended or len(self._text) - self._at > MAX_BYTES:
            return False
        near_end = not isinstance(error, json.JSONDecodeError) or error.pos >= len(self._text) - 16
        if near_end or (isinstance(error, json.JSONDecodeError) and "Unterminated" in error.msg):
            self._fill()
            return True
        return False

    def _broken(self, place: str, error: Exception) -> Broken:
        """The element up to where the next one seems to start, as Broken."""
        start, size = self._text[self._at : self._at + MAX_BYTES], 0
        position = error.pos if isinstance(error, json.JSONDecodeError) else self._at
        if "Unterminated" in str(error):
            position = self._at
        match = _NEXT.search(self._text, position)
        while match is None and not self._ended:
            size += max(len(self._text) - CHUNK, self._at) - self._at
            self._move(max(len(self._text) - CHUNK, self._at))
            self._fill()
            match = _NEXT.search(self._text, self._at)
        end = match.end() if match else len(self._text)
        size += end - self._at
        self._move(end)
        if size > MAX_BYTES:
            return too_large(place, escaped(start), size)
        return Broken(place, escaped(start[:size].rstrip().rstrip(",")), "invalid JSON", _said(error))

    def _fill(self) -> None:
        chunk = next(self._chunks, None)
        self._ended = chunk is None
        self._text = self._text[self._at :] + (chunk or "")
        self._at = 0

    def _move(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to


def _said(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _odd(place: str, content: str) -> Broken | None:
    """Broken where undecodable bytes stand in an element."""
    if any("\udc80" <= character <= "\udcff" for character in content) and not content.isascii():
        return Broken(place, escaped(content[:SHOWN]), "undecodable", "bytes that are not text")
    return None


def _characters(source: Source) -> Iterator[str]:
    """The text of a file in pieces; undecodable bytes become lone surrogates."""
    decoder = codecs.getincrementaldecoder(source.codec())("surrogateescape")
    with source.open() as stream:
        chunk = stream.read(CHUNK)
        chunk = chunk[mark_length(chunk) :] or stream.read(CHUNK)
        while chunk:
            yield decoder.decode(chunk)
            chunk = stream.read(CHUNK)
        yield decoder.decode(b"", final=True)
