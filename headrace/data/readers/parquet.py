"""Parquet, a batch of rows at a time. Needs headrace[files]."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from headrace.data.readers.lines import Source
from headrace.data.readers.objects import Thing
from headrace.errors import InputError, MissingExtra

BATCH = 1000


def read_parquet(source: Source) -> Iterator[list[str] | Thing]:
    """First the names of the columns, then a Thing a row, placed by its number from 1.

    Raises MissingExtra without pyarrow, InputError where the file is damaged.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("Reading Parquet", "files") from error
    with _seekable(source) as stream:
        try:
            table = pyarrow.parquet.ParquetFile(stream)
            yield list(table.schema_arrow.names)
            yield from _rows(source, table)
        except pyarrow.ArrowException as error:
            said = str(error).splitlines()[0]
            raise InputError(
                f"not a whole Parquet file: {said}", where=source.name, cure="Copy it again."
            ) from error


def _rows(source: Source, table: Any) -> Iterator[Thing]:
    number = 0
    for batch in table.iter_batches(batch_size=BATCH, use_threads=False):
        for fields in batch.to_pylist():
            number += 1
            yield Thing(source.place(number), fields)


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
