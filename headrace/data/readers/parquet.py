"""Parquet, a batch of rows at a time. Needs headrace[files]."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from headrace.data.readers.lines import Source
from headrace.data.readers.objects import Thing
from headrace.errors import InputError, MissingExtra

BATCH = 1000


def read_parquet(source: Source, columns: Sequence[str] | None = None) -> Iterator[list[str] | Thing]:
    """First the names of the columns, then a Thing a row, placed by its number from 1.

    `columns` are those that the rows are to hold; all by default. Raises MissingExtra without pyarrow,
    InputError where the file is damaged.
    """
    batches = read_batches(source, columns)
    yield list(next(batches).names)
    number = 0
    for batch in batches:
        for fields in batch.to_pylist():
            number += 1
            yield Thing(source.place(number), fields)


def read_batches(source: Source, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """First pyarrow's schema of the whole file, then its record batches of at most BATCH rows.

    Raises MissingExtra without pyarrow, InputError where the file is damaged.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("Reading Parquet", "files") from error
    with _seekable(source) as stream:
        try:
            table = pyarrow.parquet.ParquetFile(stream, pre_buffer=False)
            yield table.schema_arrow
            chosen = None if columns is None else list(columns)
            yield from table.iter_batches(batch_size=BATCH, columns=chosen, use_threads=False)
        except pyarrow.ArrowException as error:
            said = str(error).splitlines()[0]
            raise InputError(
                f"not a whole Parquet file: {said}", where=source.name, cure="Copy it again."
            ) from error


def row_count(source: Source) -> int:
    """The rows of a Parquet file, as its end says; 0 where it is packed or cannot be read."""
    if source.path.suffix == ".gz":
        return 0
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("Reading Parquet", "files") from error
    try:
        return int(pyarrow.parquet.read_metadata(source.path).num_rows)
    except pyarrow.ArrowException:
        return 0


@contextmanager
def _seekable(source: Source) -> Iterator[IO[bytes]]:
    """The file itself, or its unpacked copy on disk: Parquet is read from its end."""
    with source.open() as stream:
        if source.path.suffix != ".gz":
            yield stream
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy)
            copy.seek(0)
            yield copy
