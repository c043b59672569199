"""The files of a source: found by path, folder or glob, read whole up to a size, and watched by their stamps."""

from __future__ import annotations

import glob
import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from pydantic import Field

from headrace.data.connectors import Broken
from headrace.data.encodings import detect, mark_length, marked, named
from headrace.data.fields import escaped
from headrace.errors import NotFound
from headrace.knowledge.formats import Read
from headrace.recipe import Section

MOST_BYTES = 20_000_000
"""Of one file; a larger one is broken, not read."""
MOST_FILES = 50_000


class PathOptions(Section):
    """What every format of files has."""

    path: str = Field(min_length=1, description="a file, a folder or a glob such as help/*.md")


class FileOptions(PathOptions):
    """What every format of text files has."""

    encoding: str = Field(default="auto", description="auto, or a name such as gb18030")


Chosen = TypeVar("Chosen", bound=PathOptions)


@dataclass(frozen=True, slots=True)
class File:
    """A file, and its name as documents and messages say it: from the project's folder where it lies within."""

    path: Path
    name: str


class Files:
    """The files of one source."""

    def __init__(self, path: str, folder: Path, endings: Sequence[str]) -> None:
        given = os.path.expanduser(path)
        self._root = Path(given) if os.path.isabs(given) else folder / given
        self._given, self._folder, self._endings = path, folder, tuple(endings)

    def find(self) -> list[File]:
        """The files by name; of a folder those with the format's endings that lead nowhere else.

        Raises NotFound where there is none.
        """
        found = list(self._paths())
        if not found:
            raise NotFound(
                f"no file at {self._given!r}.",
                where=str(self._folder),
                cure=f"Correct `path`; this format reads {', '.join(self._endings)}.",
            )
        return [File(path, self._name(path)) for path in found[:MOST_FILES]]

    def stamp(self) -> str:
        """Names, sizes and times of change, hashed; "" where there is no file."""
        digest = hashlib.sha256()
        paths = list(self._paths())
        for path in paths:
            try:
                state = path.stat()
            except OSError:
                continue  # It went away in between: the next stamp says so.
            digest.update(f"{path}\x1f{state.st_mtime_ns}\x1f{state.st_size}\x1e".encode("utf-8", "replace"))
        return digest.hexdigest() if paths else ""

    def _paths(self) -> Iterator[Path]:
        if self._root.is_dir():
            base = self._root.resolve()
            for path in sorted(self._root.rglob("*")):
                if self._known(path) and path.resolve().is_relative_to(base):
                    yield path
        elif self._root.is_file():
            yield self._root
        else:
            matches = sorted(glob.glob(str(self._root), recursive=True))
            yield from (Path(match) for match in matches if os.path.isfile(match))

    def _known(self, path: Path) -> bool:
        visible = not any(part.startswith(".") for part in path.relative_to(self._root).parts)
        return visible and path.name.lower().endswith(self._endings) and path.is_file()

    def _name(self, path: Path) -> str:
        inside = path.is_relative_to(self._folder)
        return (path.relative_to(self._folder) if inside else path).as_posix()


class FileFormat(ABC, Generic[Chosen]):
    """A format whose source is files: a part names its `endings` and says what one file holds."""

    endings: ClassVar[tuple[str, ...]]

    def __init__(self, options: Chosen, folder: Path) -> None:
        self.options = options
        self._files = Files(options.path, folder, self.endings)

    def read(self) -> Iterator[Read | Broken]:
        """Every document of every file; raises NotFound where there is no file, and what `documents` raises."""
        for file in self._files.find():
            yield from self.documents(file)

    @abstractmethod
    def documents(self, file: File) -> Iterator[Read | Broken]:
        """The documents of one file."""

    def stamp(self) -> str:
        """Changes with the files."""
        return self._files.stamp()


def read_bytes(file: File, most: int = MOST_BYTES) -> bytes | Broken:
    """A file's bytes; Broken, under the file's name, where it cannot be read or is larger than `most`."""
    try:
        with open(file.path, "rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        return Broken(file.name, "", "unreadable", error.strerror or str(error))
    if len(data) > most:
        return Broken(file.name, "", "too large", f"more than {most:,} bytes")
    return data


def read_text(file: File, encoding: str = "auto") -> str | Broken:
    """A file's text without its byte order mark; Broken where its bytes are no text.

    Raises InputError for an encoding that nobody knows.
    """
    data = read_bytes(file)
    return data if isinstance(data, Broken) else decoded(data, file.name, encoding)


def decoded(data: bytes, name: str, encoding: str = "auto") -> str | Broken:
    """The text of `data`, found out where the encoding is "auto"; lines end in a newline alone."""
    codec = marked(data[:4]) or (detect(io.BytesIO(data)) if encoding == "auto" else named(encoding))
    try:
        text = data[mark_length(data[:4]) :].decode(codec)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        shown = data[max(error.start - 40, 0) : error.start + 40].decode(codec, "backslashreplace")
        return Broken(name, escaped(shown), "undecodable", f"line {line} is not {codec}")
    if "\x00" in text:
        return Broken(name, escaped(text[:200]), "NUL bytes", f"{text.count(chr(0))} in the file")
    return text.replace("\r\n", "\n").replace("\r", "\n")
