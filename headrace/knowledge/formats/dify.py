"""What Dify exports and takes: annotations as .csv or .jsonl, and the .csv of a document's segments.

Annotations (web/app/components/app/annotation/header-opts): CSV with a byte order mark and the heads
`Question,Answer` or `问题,答案`; JSON lines of `{"messages": [{"role": "user", "content": ...}, {"role":
"assistant", ...}]}`. Segments (web/app/components/datasets/documents/detail/batch-modal/csv-downloader):
`question,answer` / `问题,答案`, or one column `segment content` / `分段内容`. Question and answer make a document
given word for word; segments of one file are the passages of one document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.data.connectors import Broken
from headrace.data.fields import scalar
from headrace.data.readers.lines import Source
from headrace.data.readers.table import read_rows
from headrace.errors import InputError
from headrace.knowledge.answers import answered, shown
from headrace.knowledge.files import File, FileFormat, FileOptions
from headrace.knowledge.formats import Piece, Read

ENDINGS = (".csv", ".jsonl")
_QUESTIONS = ("question", "问题")
_ANSWERS = ("answer", "答案")
_SEGMENTS = ("segment content", "content", "分段内容")


class Options(FileOptions):
    """Where the exports are."""


class Part(FileFormat[Options]):
    """The format."""

    endings = ENDINGS

    def documents(self, file: File) -> Iterator[Read | Broken]:
        """A document a question, or one of the file's segments."""
        segments: list[Piece] = []
        for row in read_rows(Source(file.path, file.name, self.options.encoding)):
            if isinstance(row, Broken):
                yield row
                continue
            try:
                found = _taken(file.name, row.place, row.fields)
            except ValueError as error:
                yield Broken(row.place, shown(row.fields), "not text", str(error))
                continue
            if isinstance(found, str):
                segments += [Piece(file.path.stem, found)] if found else []
            else:
                yield found
        if segments:
            yield Read(file.name, file.path.stem, tuple(segments))


def _taken(file: str, line: str, fields: Mapping[str, Any]) -> Read | Broken | str:
    """The document of a row, or the text of a segment; raises ValueError, InputError where it is neither."""
    if isinstance(fields.get("messages"), list):
        return answered(
            file, line, [_said(fields["messages"], "user")], _said(fields["messages"], "assistant")
        )
    by_name = {name.strip().lower(): value for name, value in fields.items()}
    question, answer = _field(by_name, _QUESTIONS), _field(by_name, _ANSWERS)
    if question is not None and answer is not None:
        return answered(file, line, [question], answer)
    segment = _field(by_name, _SEGMENTS)
    if segment is None:
        raise InputError(
            "neither question and answer nor segments.",
            where=line,
            cure=f"Its columns are {', '.join(fields)}; for tables of your own take the format faq.",
        )
    return segment.strip()


def _field(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    found = next((name for name in names if name in fields), None)
    return None if found is None else scalar(fields[found]) or ""


def _said(messages: list[Any], role: str) -> str:
    found = (one.get("content") for one in messages if isinstance(one, Mapping) and one.get("role") == role)
    return scalar(next(found, "")) or ""
