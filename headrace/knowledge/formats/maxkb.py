"""What MaxKB exports of a knowledge base: .xlsx, .zip or .csv, a sheet (or CSV file) a document.

Columns by their order, since their heads are in the language of who exported: title of the section, its
content, its questions, one a line; in a whole knowledge base the eighth says whether it is in use ("1"). A
leading U+FEFF keeps formulas from running, and goes. In a .zip the sheets are `knowledge.xlsx`; nothing else
is read, least of all `workflow.kbwf`, a pickle. (MaxKB 2, apps/knowledge/serializers/{knowledge,document}.py:
`get_workbook`, `_get_knowledge_workbook`, `export_zip`.) A section with questions is an answer given word for
word, one without is a passage. The .xls of MaxKB 1 is to be saved as .xlsx first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.data.connectors import Broken
from headrace.data.readers.delimited import Record, read_delimited
from headrace.data.readers.lines import Source
from headrace.errors import InputError
from headrace.knowledge.answers import LONGEST
from headrace.knowledge.files import File, FileFormat, FileOptions, read_bytes
from headrace.knowledge.formats import Piece, Read
from headrace.knowledge.workbook import Sheet, member, opened, sheets

ENDINGS = (".xlsx", ".zip", ".csv", ".xls")
_QUESTIONS = 5


class Options(FileOptions):
    """Where the exports are."""


class Part(FileFormat[Options]):
    """The format."""

    endings = ENDINGS

    def documents(self, file: File) -> Iterator[Read | Broken]:
        """A document a sheet."""
        try:
            found = list(self._sheets(file))
        except InputError as error:
            yield Broken(file.name, "", "unreadable", error.message)
            return
        for sheet in found:
            yield sheet if isinstance(sheet, Broken) else _document(file, sheet)

    def _sheets(self, file: File) -> Iterator[Sheet | Broken]:
        ending = file.path.suffix.lower()
        if ending == ".csv":
            yield from _table(Source(file.path, file.name, self.options.encoding), file.path.stem)
            return
        data: bytes | Broken | None = read_bytes(file)
        if isinstance(data, bytes) and ending == ".zip":
            with opened(data, file.name) as archive:
                data = member(archive, "knowledge.xlsx", file.name)
        if isinstance(data, Broken):
            yield data
        elif ending == ".xls" or data is None:
            why = "the old kind of Excel file" if ending == ".xls" else "there is no knowledge.xlsx in it"
            yield Broken(file.name, "", "unreadable", f"{why}; save it as .xlsx or .csv")
        else:
            yield from sheets(data, file.name)


def _table(source: Source, name: str) -> Iterator[Sheet | Broken]:
    rows = []
    for number, record in enumerate(read_delimited(source), start=1):
        if isinstance(record, Broken):
            yield record
        else:
            fields = record.fields if isinstance(record, Record) else record
            rows.append((number, tuple(fields)))
    yield Sheet(name, tuple(rows))


def _document(file: File, sheet: Sheet) -> Read | Broken:
    place = f"{file.name}#{sheet.name}"
    pieces = [piece for _, row in sheet.rows[1:] if (piece := _piece(sheet.name, row)) is not None]
    if not pieces:
        return Broken(place, "", "empty", "no section below its heads has content")
    return Read(place, sheet.name, tuple(pieces))


def _piece(name: str, row: Sequence[str]) -> Piece | None:
    title, content, asked = (_freed(cell) for cell in (*row[:3], "", "", "")[:3])
    if not content or (len(row) > 7 and row[7].strip() == "0"):
        return None
    questions = list(dict.fromkeys(line.strip() for line in asked.split("\n") if line.strip()))
    if questions and len(content) <= LONGEST:
        return Piece(" / ".join(questions[:_QUESTIONS]), content, curated=True)
    return Piece(f"{name} › {title}" if title else name, content)


def _freed(cell: str) -> str:
    return cell.replace("\r\n", "\n").strip().removeprefix("\ufeff").strip()
