"""What FastGPT exports of a dataset: `NAME-backup.csv` with the heads `q,a,indexes`.

(projects/app/src/pages/api/core/dataset/exportAll.ts and packages/service/common/file/csv.ts.) A byte order mark
comes first; a row has a column for each of its indexes, so rows differ in length; a field that began with = + - @
or | has a quote ' before it, which goes. With `a`, a row is a question, its other wordings in the indexes, and an
answer given word for word; without, `q` is a passage, and all of these make one document.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from headrace.data.connectors import Broken
from headrace.knowledge.answers import answered
from headrace.knowledge.files import File, FileFormat, FileOptions, read_text
from headrace.knowledge.formats import Piece, Read

ENDINGS = (".csv",)
_GUARDED = re.compile(r"'(?=[=+\-@|])")
_WORDING = 200
"""Characters of an index that can be a question asked in another way."""


class Options(FileOptions):
    """Where the exports are."""


class Part(FileFormat[Options]):
    """The format."""

    endings = ENDINGS

    def documents(self, file: File) -> Iterator[Read | Broken]:
        """A document a question, and one of the passages."""
        text = read_text(file, self.options.encoding)
        yield from [text] if isinstance(text, Broken) else _file(file, text)


def _file(file: File, text: str) -> Iterator[Read | Broken]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(io.StringIO(text), strict=True)
    passages: list[Piece] = []
    line = 1
    try:
        heads = [head.strip().lower() for head in next(reader, [])]
        if heads[:2] != ["q", "a"]:
            yield Broken(
                file.name, ",".join(heads)[:200], "other columns", "an export of FastGPT begins with q,a"
            )
            return
        line = reader.line_num + 1
        for row in reader:
            found = _row(
                file.name,
                f"{file.name}:{line}",
                [_GUARDED.sub("", field, count=1) if field.startswith("'") else field for field in row],
            )
            line = reader.line_num + 1
            if isinstance(found, str):
                passages += [Piece(file.path.stem, found)] if found else []
            else:
                yield found
    except csv.Error as error:
        yield Broken(file.name, "", "lone quote", f"from line {line} on: {error}")
        return
    if passages:
        yield Read(file.name, file.path.stem, tuple(passages))


def _row(file: str, line: str, fields: Sequence[str]) -> Read | Broken | str:
    question, answer, *indexes = [*fields, "", ""][: max(len(fields), 2)]
    if not answer.strip():
        return question.strip()
    wordings = [index for index in indexes if len(index) <= _WORDING and index.strip() != answer.strip()]
    # The index of a whole row holds question and answer together: that is no wording.
    others = [index for index in wordings if answer.strip() not in index]
    return answered(file, line, [question, *others], answer)
