"""Lines of a file, decoded strictly, with their numbers; what cannot be decoded is kept, escaped.

No line is held whole beyond MAX_BYTES: the rest of a longer one is read past and counted.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from headrace.data.connectors import Broken
from headrace.data.encodings import CHUNK, detect, mark_length, marked, named
from headrace.errors import InputError

MAX_BYTES = 1_000_000
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end, and its number from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file as messages name it (`name`), and the encoding in which it is read."""

    path: Path
    name: str
    encoding: str = "auto"

    def place(self, line: int) -> str:
        """How a row of this file is named."""
        return f"{self.name}:{line}"

    def codec(self) -> str:
        """The codec of its text, found where the recipe names none; raises InputError for an unknown name."""
        given = None if self.encoding == "auto" else named(self.encoding)
        with self.open() as stream:
            if given is None:
                return detect(stream)
            return marked(stream.read(4)) or given if given.startswith("utf") else given

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its bytes, unpacked where it is gzip; raises InputError where it cannot be read."""
        try:
            with self._stream() as stream:
                yield stream
        except FileNotFoundError:
            raise InputError("there is no such file.", where=self.name, cure="Correct `path`.") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(
                f"not a whole gzip file: {error}.", where=self.name, cure="Copy it again."
            ) from error
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}.", where=self.name) from error

    def _stream(self) -> BinaryIO:
        opener = gzip.open if self.path.suffix == ".gz" else open
        return cast(BinaryIO, opener(self.path, "rb"))


def read_lines(source: Source) -> Iterator[Line | Broken]:
    """Every line of a file, empty ones included."""
    codec = source.codec()
    with source.open() as stream:
        for number, (data, size) in enumerate(_pieces(stream, codec), start=1):
            yield _line(source, number, data, size, codec)


def _line(source: Source, number: int, data: bytes, size: int, codec: str) -> Line | Broken:
    place = source.place(number)
    if size > MAX_BYTES:
        return too_large(place, data[: SHOWN * 4].decode(codec, "replace"), size)
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        detail = f"byte {error.start + 1} of the line is not {codec}"
        return Broken(place, data.decode(codec, "backslashreplace"), "undecodable", detail)
    return checked(Line(number, text.removesuffix("\r")), place)


def checked(line: Line, place: str) -> Line | Broken:
    """The line, or Broken where it holds NUL characters, which no database keeps alike."""
    if "\x00" in line.text:
        count = line.text.count("\x00")
        return Broken(place, line.text.replace("\x00", "\\x00"), "NUL bytes", f"{count} in the line")
    return line


def too_large(place: str, start: str, size: int) -> Broken:
    """Something beyond MAX_BYTES, of which the start alone is kept."""
    detail = f"{size:,} bytes, at most {MAX_BYTES:,}; the file still has all of it"
    return Broken(place, start[:SHOWN].replace("\x00", "\\x00") + "…", "too large", detail)


def _pieces(stream: BinaryIO, codec: str) -> Iterator[tuple[bytes, int]]:
    """Lines as bytes with their sizes, cut off at MAX_BYTES."""
    held, dropped = bytearray(), 0
    chunk = stream.read(CHUNK)
    chunk = chunk[mark_length(chunk) :] or stream.read(CHUNK)
    newline, old = "\n".encode(codec), "\r".encode(codec)
    if newline not in chunk and old in chunk:
        newline = old
    width = len(newline)
    while chunk:
        held += chunk
        at, start = _next(held, newline, width, 0), 0
        while at >= 0:
            yield bytes(held[start : min(at, start + MAX_BYTES)]), at - start + dropped
            dropped, start = 0, at + width
            at = _next(held, newline, width, start)
        del held[:start]
        if len(held) > MAX_BYTES + CHUNK:
            # Keep the head, and forget what follows in whole characters.
            surplus = (len(held) - MAX_BYTES) // width * width
            dropped += surplus
            del held[MAX_BYTES : MAX_BYTES + surplus]
        chunk = stream.read(CHUNK)
    if held:
        yield bytes(held[:MAX_BYTES]), len(held) + dropped


def _next(data: bytearray, newline: bytes, width: int, start: int) -> int:
    at = data.find(newline, start)
    while at >= 0 and at % width:
        at = data.find(newline, at + 1)
    return at
