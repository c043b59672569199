"""Pages of HTML in a folder: each a document, its headings the titles of its pieces (see `knowledge.pages`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from headrace.data.connectors import Broken
from headrace.knowledge.files import FileOptions, Files, read_bytes
from headrace.knowledge.formats import Read
from headrace.knowledge.pages import page

ENDINGS = (".html", ".htm", ".xhtml")


class Options(FileOptions):
    """Where the pages are."""


class Part:
    """The format."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._files = Files(options.path, folder, ENDINGS)

    def read(self) -> Iterator[Read | Broken]:
        """A document a page; raises NotFound where there is none, MissingExtra."""
        for file in self._files.find():
            data = read_bytes(file)
            yield data if isinstance(data, Broken) else page(data, file.name, encoding=self._options.encoding)

    def stamp(self) -> str:
        """Changes with the files."""
        return self._files.stamp()
