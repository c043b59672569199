"""The input once more, beside its answers -> CSV, JSON lines or Parquet, a batch of rows at a time."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from headrace.data.connectors import Broken
from headrace.data.fields import escaped
from headrace.data.readers.lines import Source
from headrace.data.readers.objects import Thing
from headrace.data.readers.parquet import read_batches
from headrace.data.readers.table import OBJECTS, column_names, format_of, read_rows
from headrace.errors import InputError, MissingExtra
from headrace.serving.bulk.parts import AnswerRow

COLUMNS = ("label", "confidence", "because", "release", "adapter", "error")
ENDINGS = (".csv", ".jsonl", ".parquet")
GROUP_ROWS, GROUP_BYTES = 65_536, 32 << 20
"""What a row group of Parquet holds at most; less where the rows are long."""
_BATCH = 2048

Fields = Mapping[str, Any]


class Writer(Protocol):
    """Takes rows with their answers and writes them to a file that another opened."""

    def add(self, rows: Sequence[Fields], answers: Sequence[AnswerRow]) -> None:
        """Write rows, each with its answer."""
        ...

    def close(self) -> None:
        """Write what waits."""
        ...


def refuse_ending(out: Path) -> None:
    """Raise InputError for an ending that is not written, MissingExtra where Parquet needs pyarrow."""
    if out.suffix not in ENDINGS:
        cure = f"Use {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}."
        raise InputError(f"the ending {out.suffix!r} is not known.", where=str(out), cure=cure)
    if out.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise MissingExtra("Writing Parquet", "files") from error


def join(
    source: Source, column: str, kinds: Mapping[str, set[str]], answers: Iterator[AnswerRow], out: Path
) -> Iterator[int]:
    """Write the rows of `source` with their answers to `out`, durable at the end; gives the rows so far.

    `kinds` are the kinds of values of every field, where each row has its own. A row that could not be read
    keeps what came in under `column`. Raises InputError where rows and answers are not as many.
    """
    with open(out, "wb") as file:
        if format_of(source.path) == "parquet" and out.suffix == ".parquet":
            yield from _join_batches(source, answers, file)
        else:
            known = {**kinds, column: {"string"}} if kinds else kinds
            yield from _join_rows(source, column, answers, _writer(source, known, out.suffix, file))
        if next(answers, None) is not None:
            raise _uneven(source)
        file.flush()
        os.fsync(file.fileno())


def free_names(there: Iterable[str]) -> list[str]:
    """The names of the answer's columns: where the input has one called so, `answer_` stands before ours."""
    taken, found = set(there), []
    for name in COLUMNS:
        while name in taken:
            name = f"answer_{name}"
        found.append(name)
    return found


def _join_batches(source: Source, answers: Iterator[AnswerRow], file: BinaryIO) -> Iterator[int]:
    """Parquet to Parquet: the input's columns go through as they are."""
    batches, done = read_batches(source), 0
    with closing(ParquetTarget(file, next(batches))) as target:
        for batch in batches:
            target.add_batch(batch, _take(source, answers, batch.num_rows))
            done += batch.num_rows
            yield done


def _join_rows(source: Source, column: str, answers: Iterator[AnswerRow], writer: Writer) -> Iterator[int]:
    rows, done = read_rows(source), 0
    with closing(writer):
        while some := list(islice(rows, _BATCH)):
            writer.add([_fields(row, column) for row in some], _take(source, answers, len(some)))
            done += len(some)
            yield done


def _take(source: Source, answers: Iterator[AnswerRow], count: int) -> list[AnswerRow]:
    found = list(islice(answers, count))
    if len(found) != count:
        raise _uneven(source)
    return found


def _uneven(source: Source) -> InputError:
    return InputError(
        "the input changed while it was answered.", where=source.name, cure="Add --restart to answer anew."
    )


def _fields(row: Thing | Broken, column: str) -> Fields:
    return {column: row.content} if isinstance(row, Broken) else row.fields


def _writer(source: Source, kinds: Mapping[str, set[str]], ending: str, file: BinaryIO) -> Writer:
    names = list(kinds) if format_of(source.path) in OBJECTS else column_names(source)
    if ending == ".jsonl":
        return JsonLines(file, names)
    if ending == ".csv":
        return Csv(file, names)
    return Objects(file, {name: kinds.get(name, {"string"}) for name in names})


class Csv:
    """Commas, UTF-8, a header; what is no text is written as JSON would."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        self._names = names
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._table = csv.writer(self._text)
        self._table.writerow([*names, *free_names(names)])

    def add(self, rows: Sequence[Fields], answers: Sequence[AnswerRow]) -> None:
        """Write rows, each with its answer."""
        names, table = self._names, self._table
        table.writerows(
            [*[_cell(fields.get(name)) for name in names], *answer]
            for fields, answer in zip(rows, answers, strict=True)
        )

    def close(self) -> None:
        """Write what waits."""
        self._text.detach()


class JsonLines:
    """An object a line: the row's own fields, then the answer's."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        self._ours, self._file = free_names(names), file

    def add(self, rows: Sequence[Fields], answers: Sequence[AnswerRow]) -> None:
        """Write rows, each with its answer."""
        ours = self._ours
        self._file.writelines(
            _json_line({**fields, **dict(zip(ours, answer, strict=True))})
            for fields, answer in zip(rows, answers, strict=True)
        )

    def close(self) -> None:
        """Nothing waits."""


class ParquetTarget:
    """Row groups of bounded size, the input's columns as they are and the answer's beside them."""

    def __init__(self, file: BinaryIO, schema: Any) -> None:
        import pyarrow
        import pyarrow.parquet

        self._arrow = pyarrow
        ours = list(zip(free_names(schema.names), _types(pyarrow), strict=True))
        fields = [*schema, *(pyarrow.field(name, kind) for name, kind in ours)]
        self._schema = pyarrow.schema(fields, metadata=schema.metadata)
        self._kinds = [kind for _, kind in ours]
        self._file = pyarrow.parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Any] = []
        self._rows = self._bytes = 0

    def add_batch(self, batch: Any, answers: Sequence[AnswerRow]) -> None:
        """Write the rows of a record batch, each with its answer."""
        columns = zip(*answers, strict=True) if answers else [()] * len(COLUMNS)
        ours = [self._arrow.array(c, kind) for c, kind in zip(columns, self._kinds, strict=True)]
        whole = self._arrow.record_batch([*batch.columns, *ours], schema=self._schema)
        self._waiting.append(whole)
        self._rows += whole.num_rows
        self._bytes += whole.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what waits."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            table = self._arrow.Table.from_batches(self._waiting, self._schema)
            self._file.write_table(table, row_group_size=max(1, table.num_rows))
        self._waiting, self._rows, self._bytes = [], 0, 0


class Objects:
    """Rows of Python values as Parquet: a column's type holds every kind of value that it has."""

    def __init__(self, file: BinaryIO, kinds: Mapping[str, set[str]]) -> None:
        import pyarrow

        self._arrow = pyarrow
        types = {name: _type(pyarrow, found) for name, found in kinds.items()}
        self._schema = pyarrow.schema(list(types.items()))
        self._types = types
        self._target = ParquetTarget(file, self._schema)

    def add(self, rows: Sequence[Fields], answers: Sequence[AnswerRow]) -> None:
        """Write rows, each with its answer."""
        columns = [self._column(name, kind, rows) for name, kind in self._types.items()]
        self._target.add_batch(self._arrow.record_batch(columns, schema=self._schema), answers)

    def close(self) -> None:
        """Write what waits."""
        self._target.close()

    def _column(self, name: str, kind: Any, rows: Sequence[Fields]) -> Any:
        values = [fields.get(name) for fields in rows]
        if kind == self._arrow.string():
            values = [None if value is None else _cell(value) for value in values]
        return self._arrow.array(values, kind)


def _types(arrow: Any) -> list[Any]:
    """The types of the answer's columns."""
    return [arrow.float64() if name == "confidence" else arrow.string() for name in COLUMNS]


def _type(arrow: Any, kinds: set[str]) -> Any:
    """The narrowest type that holds these kinds of values without a loss; text where there is none."""
    found = kinds - {"null"}
    for fits, kind in (
        ({"bool"}, arrow.bool_()),
        ({"int", "long"}, arrow.int64()),
        ({"int", "float"}, arrow.float64()),
    ):
        if found and found <= fits:
            return kind
    return arrow.string()


def _cell(value: Any) -> str:
    """A value as text: a string as it is, nothing for null, anything else as JSON would write it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if value.isascii() and "\x00" not in value else escaped(value)
    if isinstance(value, bool | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return str(value) if isinstance(value, int | float) else _plain(value)


def _json_line(value: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # integers beyond 64 bits, half a character
        return json.dumps(value, default=_plain).encode() + b"\n"


def _plain(value: Any) -> str:
    """What JSON has no form for: bytes as hexadecimal digits, times as ISO 8601, the rest as it is printed."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
