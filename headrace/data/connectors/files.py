"""Files: CSV, TSV, JSON, JSON lines, Parquet, folders of texts, each also with .gz.

`path` is a file, a folder or a glob, from the project's folder. Encodings, delimiters and columns are found
where the recipe does not name them. What cannot be read of a file is handed on as Broken, by file and line.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace.data.connectors import Broken, Position, Raw
from headrace.data.fields import SPLITS, Columns, choose, escaped
from headrace.data.readers.delimited import Record, read_delimited
from headrace.data.readers.lines import MAX_BYTES, Source, read_lines, too_large
from headrace.data.readers.objects import Thing, read_json_array, read_json_lines
from headrace.data.readers.parquet import read_parquet
from headrace.errors import InputError, NotFound
from headrace.records import Split

Format = Literal["auto", "csv", "tsv", "json", "jsonl", "parquet", "lines", "texts"]
ENDINGS: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "texts",
}


class Options(BaseModel):
    """Where the files are, and what the recipe knows better than a guess."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="a file, a folder or a glob such as reviews/*.csv")
    text: str | None = Field(default=None, description="column of the text")
    label: str | None = Field(default=None, description="column of the label")
    split: str | None = Field(default=None, description="column of the split")
    format: Format = Field(default="auto", description="lines: a text a line; texts: a text a file")
    encoding: str = Field(default="auto", description="auto, or a name such as gb18030")
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    columns: tuple[str, ...] = Field(
        default=(), description="names of the columns of a file without a header"
    )
    splits_from_names: bool = Field(
        default=False, description="files and folders called train, dev, validation or test give the split"
    )


class Part:
    """The connector."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        path = os.path.expanduser(options.path)
        self._root = Path(path) if os.path.isabs(path) else folder / path
        self._folder = folder

    def read(self, position: object | None) -> Iterator[Raw | Broken | Position]:
        """Every row of every file, file after file by name; `position` is not used: a row known adds nothing.

        Raises NotFound where there is no such file, InputError where one cannot be used.
        """
        for path, format_ in self.files():
            yield from self._file(path, format_)

    def files(self) -> list[tuple[Path, Format]]:
        """The files that will be read, and how."""
        if self._root.is_dir():
            found = [path for path in sorted(self._root.rglob("*")) if self._known(path)]
        elif self._root.is_file():
            return [(self._root, self._format(self._root, alone=True))]
        else:
            found = [Path(p) for p in sorted(glob.glob(str(self._root), recursive=True)) if os.path.isfile(p)]
        if not found:
            raise NotFound(
                f"no file at {self._options.path!r}.",
                where=str(self._folder),
                cure=f"Correct `path`; known endings are {', '.join(ENDINGS)}, each also with .gz.",
            )
        return [(path, self._format(path, alone=False)) for path in found]

    def _known(self, path: Path) -> bool:
        visible = not any(part.startswith(".") for part in path.relative_to(self._root).parts)
        return visible and path.is_file() and _ending(path) in ENDINGS

    def _format(self, path: Path, *, alone: bool) -> Format:
        if self._options.format != "auto":
            return self._options.format
        found = ENDINGS.get(_ending(path))
        if found is None:
            raise InputError(
                f"the ending {_ending(path)!r} says nothing of the format.",
                where=self._name(path),
                field="format",
                cure="Set options.format to csv, tsv, json, jsonl, parquet, lines or texts.",
            )
        return "lines" if found == "texts" and alone else found

    def _file(self, path: Path, format_: Format) -> Iterator[Raw | Broken]:
        source = Source(path, self._name(path), self._options.encoding)
        split = _split_of(path, self._root) if self._options.splits_from_names else None
        if format_ in ("csv", "tsv"):
            yield from self._delimited(source, split, "\t" if format_ == "tsv" else None)
        elif format_ == "texts":
            yield _whole(source, self._folder_label(path), split)
        elif format_ == "lines":
            yield from _plain_lines(source, split)
        elif format_ == "parquet":
            yield from self._parquet(source, split)
        else:
            things = read_json_array(source) if format_ == "json" else read_json_lines(source)
            yield from self._things(source, things, split)

    def _delimited(
        self, source: Source, split: Split | None, delimiter: str | None
    ) -> Iterator[Raw | Broken]:
        records = read_delimited(source, self._options.delimiter or delimiter, self._options.columns)
        names, columns = next(records), None
        for record in records:
            if isinstance(record, Record) and isinstance(names, list):
                columns = columns or self._choose(source, names)
                yield columns.raw(dict(zip(names, record.fields, strict=True)), record.place, split)
            elif isinstance(record, Broken):
                yield record
        if columns is None and isinstance(names, list):
            self._choose(source, names)

    def _parquet(self, source: Source, split: Split | None) -> Iterator[Raw | Broken]:
        columns: Columns | None = None
        for row in read_parquet(source):
            if isinstance(row, list):
                columns = self._choose(source, row)
            elif columns is not None:
                yield columns.raw(row.fields, row.place, split)

    def _things(
        self, source: Source, things: Iterator[Thing | Broken], split: Split | None
    ) -> Iterator[Raw | Broken]:
        columns, empty = None, True
        for thing in things:
            empty = False
            if isinstance(thing, Broken):
                yield thing
            else:
                columns = columns or self._choose(source, list(thing.fields))
                yield columns.raw(thing.fields, thing.place, split)
        if empty:
            raise InputError("the file is empty.", where=source.name, cure="Remove it, or correct `path`.")

    def _choose(self, source: Source, names: list[str]) -> Columns:
        o = self._options
        return choose(names, text=o.text, label=o.label, split=o.split, where=source.name)

    def _name(self, path: Path) -> str:
        """The file as messages and rows name it: from the project's folder where it lies within."""
        inside = path.is_relative_to(self._folder)
        return str(path.relative_to(self._folder) if inside else path)

    def _folder_label(self, path: Path) -> str | None:
        """The folder in which a text lies, where that is not the root."""
        base = self._root if self._root.is_dir() else Path(str(self._root).split("*")[0])
        if not path.is_relative_to(base):
            return None
        folders = [name for name in path.relative_to(base).parts[:-1] if name.lower() not in SPLITS]
        return folders[-1] if folders else None


def _ending(path: Path) -> str:
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()


def _split_of(path: Path, root: Path) -> Split | None:
    """The split that the file's name, or a folder between it and `root`, is called after."""
    within = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    names = [*within.parts[:-1], path.name.split(".")[0]]
    return next((SPLITS[name.lower()] for name in reversed(names) if name.lower() in SPLITS), None)


def _plain_lines(source: Source, split: Split | None) -> Iterator[Raw | Broken]:
    for line in read_lines(source):
        if isinstance(line, Broken):
            yield line
        elif line.text.strip():
            yield Raw(line.text, None, split, source.place(line.number))


def _whole(source: Source, label: str | None, split: Split | None) -> Raw | Broken:
    """A file as one text."""
    parts: list[str] = []
    size = 0
    for line in read_lines(source):
        if isinstance(line, Broken):
            return Broken(
                source.place(1), escaped("\n".join([*parts, line.content])), line.reason, line.detail
            )
        parts.append(line.text)
        size += len(line.text) + 1
        if size > MAX_BYTES:
            return too_large(source.place(1), parts[0], source.path.stat().st_size)
    return Raw("\n".join(parts), label, split, source.name)
