"""PDF files: each a document, a piece a page; nothing in them is executed.

A file whose text is locked, or that holds pictures of pages alone, is rejected with the reason: reading pictures
is not built in. Lines are joined to paragraphs, words cut at the end of a line are put together.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from headrace.data.connectors import Broken
from headrace.data.fields import escaped
from headrace.errors import MissingExtra
from headrace.knowledge.files import File, FileFormat, PathOptions, read_bytes
from headrace.knowledge.formats import Piece, Read

ENDINGS = (".pdf",)
MOST_BYTES = 50_000_000
MOST_PAGES = 2000
_CUT = re.compile(r"(?<=[a-zà-ÿ])-\n(?=[a-zà-ÿ])")
_HAN_END = re.compile(
    r"(?<=[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef])\n(?=[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef])"
)
_LINE = re.compile(r"(?<!\n)\n(?!\n|\s*(?:[-•·*▪]|\d{1,3}[.)])\s)")


class Options(PathOptions):
    """Where the files are."""

    path: str = Field(min_length=1, description="a file, a folder or a glob such as manuals/*.pdf")


class Part(FileFormat[Options]):
    """The format."""

    endings = ENDINGS

    def documents(self, file: File) -> Iterator[Read | Broken]:
        """A document, the file; raises MissingExtra."""
        data = read_bytes(file, MOST_BYTES)
        yield data if isinstance(data, Broken) else _document(file, data)


def _document(file: File, data: bytes) -> Read | Broken:
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ModuleNotFoundError as error:
        raise MissingExtra("Reading PDF", "documents") from error
    # What it says of odd files it says to a log; here each file has one sentence.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return Broken(file.name, "", "locked", "its text needs a password; save it without one")
        if len(reader.pages) > MOST_PAGES:
            return Broken(file.name, "", "too large", f"{len(reader.pages):,} pages, at most {MOST_PAGES:,}")
        title = _title(reader) or file.path.stem
        texts = [_flow(page.extract_text()) for page in reader.pages]
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexError) as error:
        # A damaged file makes the reader stumble over whatever is missing.
        return Broken(file.name, "", "damaged", escaped(str(error))[:200] or type(error).__name__)
    pieces = tuple(
        Piece(f"{title}, page {number}", text) for number, text in enumerate(texts, start=1) if text
    )
    if not pieces:
        detail = f"{len(texts)} pages of pictures: put a text behind them with a program for reading pictures"
        return Broken(file.name, "", "no text", detail)
    return Read(file.name, title, pieces)


def _title(reader: Any) -> str:
    found = reader.metadata.title if reader.metadata is not None else None
    return " ".join(escaped(str(found or "")).split())[:200]


def _flow(text: str) -> str:
    """Lines of a page as paragraphs."""
    lines = "\n".join(line.strip() for line in escaped(text).split("\n")).strip()
    return _LINE.sub(" ", _HAN_END.sub("", _CUT.sub("", lines)))
