"""A table of questions and answers: CSV, TSV, JSON, JSON lines or Parquet, each also with .gz.

Columns `question` and `answer`; where they are there also `id`, `intent` (the label that the answer is for),
`language`, `url` and `channel` (the only one that the row answers). Each row is a document, called after its
id or else its question; its answer is given word for word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field

from headrace.data.connectors import Broken
from headrace.data.fields import scalar
from headrace.data.readers.lines import Source
from headrace.data.readers.table import read_rows
from headrace.errors import InputError
from headrace.knowledge.answers import answered, shown
from headrace.knowledge.files import File, FileFormat, FileOptions
from headrace.knowledge.formats import Read
from headrace.recipe.sections import nearest

_ENDINGS = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet")
ENDINGS = (*_ENDINGS, *(f"{ending}.gz" for ending in _ENDINGS))
GUESSES: Mapping[str, tuple[str, ...]] = {
    "question": ("question", "q", "questions", "title", "问题", "问", "标题"),
    "answer": ("answer", "a", "reply", "content", "text", "答案", "回答", "答"),
    "id": ("id", "key", "编号"),
    "intent": ("intent", "label", "意图", "标签"),
    "language": ("language", "lang", "语言"),
    "url": ("url", "link", "链接"),
    "channel": ("channel", "渠道"),
}


class Options(FileOptions):
    """Where the table is; columns are found by their names where they are not given."""

    question: str | None = Field(default=None, description="column of the question")
    answer: str | None = Field(default=None, description="column of the answer")
    id: str | None = Field(
        default=None, description="column of a row's own name, so that a question may change"
    )
    intent: str | None = Field(default=None, description="column of the label that the answer is for")
    language: str | None = Field(default=None, description="column of the language")
    url: str | None = Field(default=None, description="column of the page to read more at")
    channel: str | None = Field(default=None, description="column of the only channel that the row answers")


class Part(FileFormat[Options]):
    """The format."""

    endings = ENDINGS

    def documents(self, file: File) -> Iterator[Read | Broken]:
        """A document a row; raises InputError where a column is missing."""
        columns: dict[str, str] | None = None
        for row in read_rows(Source(file.path, file.name, self.options.encoding)):
            if isinstance(row, Broken):
                yield row
                continue
            columns = columns or self._columns(list(row.fields), file.name)
            yield _document(file.name, row.place, row.fields, columns)

    def _columns(self, there: Sequence[str], where: str) -> dict[str, str]:
        """The column of each part that the table has; raises InputError for one that must be there."""
        found: dict[str, str] = {}
        for part, guesses in GUESSES.items():
            given = getattr(self.options, part)
            if given is not None and given not in there:
                raise InputError(
                    f"there is no column {given!r}.", where=where, field=part, cure=nearest(given, there)
                )
            column = given or _guess(guesses, there, taken=set(found.values()))
            if column is not None:
                found[part] = column
        for part in ("question", "answer"):
            if part not in found:
                raise InputError(
                    f"no column is called like {part}.",
                    where=where,
                    field=part,
                    cure=f"Set options.{part} to one of: {', '.join(there)}.",
                )
        return found


def _guess(names: Sequence[str], there: Sequence[str], taken: set[str]) -> str | None:
    by_lower = {name.strip().lower(): name for name in reversed(there) if name not in taken}
    return next((by_lower[name] for name in names if name in by_lower), None)


def _document(file: str, line: str, fields: Mapping[str, Any], columns: Mapping[str, str]) -> Read | Broken:
    try:
        said = {part: (scalar(fields.get(column)) or "").strip() for part, column in columns.items()}
    except ValueError as error:
        return Broken(line, shown(fields), "not text", str(error))
    made = answered(
        file,
        line,
        [said["question"]],
        said["answer"],
        key=said.get("id", ""),
        intent=said.get("intent"),
        language=said.get("language", ""),
        url=said.get("url", ""),
        channel=said.get("channel") or None,
    )
    return made if isinstance(made, Read) else Broken(line, shown(fields), made.reason, made.detail)
