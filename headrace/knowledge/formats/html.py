"""Pages of HTML in a folder: each a document, its headings the titles of its pieces (see `knowledge.pages`)."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.connectors import Broken
from headrace.knowledge.files import File, FileFormat, FileOptions, read_bytes
from headrace.knowledge.formats import Read
from headrace.knowledge.pages import page

ENDINGS = (".html", ".htm", ".xhtml")


class Options(FileOptions):
    """Where the pages are."""


class Part(FileFormat[Options]):
    """The format."""

    endings = ENDINGS

    def documents(self, file: File) -> Iterator[Read | Broken]:
        """A document, the page; raises MissingExtra."""
        data = read_bytes(file)
        yield data if isinstance(data, Broken) else page(data, file.name, encoding=self.options.encoding)
