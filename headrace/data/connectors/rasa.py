"""Training examples of Rasa: the intents of `nlu.yml`, or of a folder of such files.

An example is a row, its intent the label; `[Oslo](city)` and `[Oslo]{"entity": "city"}` become Oslo. Synonyms,
lookup tables and patterns are no examples. A file that is no YAML is an error that names the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from headrace.data.connectors import Broken, Position, Raw
from headrace.data.fields import escaped
from headrace.errors import InputError, NotFound

MOST_BYTES = 20_000_000
ENDINGS = (".yml", ".yaml")
_ENTITY = re.compile(r"\[([^\[\]]+)\](?:\([^()]*\)|\{[^{}]*\})(?:\[[^\[\]]*\])?")
_EXAMPLE = re.compile(r"\s*[-*+]\s+(.*\S)\s*")


class Options(BaseModel):
    """Where the files are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="nlu.yml, or the folder that holds such files")


class Part:
    """The connector."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options, self._folder = options, folder
        path = Path(options.path).expanduser()
        self._root = path if path.is_absolute() else folder / path

    def read(self, position: object | None) -> Iterator[Raw | Broken | Position]:
        """Every example; `position` is not used: a row known adds nothing.

        Raises NotFound where there is no file, InputError where one is no YAML or no training data.
        """
        for path in self._files():
            inside = path.is_relative_to(self._folder)
            yield from _examples(path, str(path.relative_to(self._folder) if inside else path))

    def _files(self) -> list[Path]:
        if self._root.is_file():
            return [self._root]
        found = [path for path in sorted(self._root.rglob("*")) if path.suffix.lower() in ENDINGS]
        if not found:
            raise NotFound(
                f"no file at {self._options.path!r}.",
                where=str(self._folder),
                cure="Correct `path`: it is nlu.yml, or a folder with such files.",
            )
        return found


def _examples(path: Path, name: str) -> Iterator[Raw | Broken]:
    found = _loaded(path, name)
    entries = found.get("nlu") if isinstance(found, Mapping) else None
    if entries is None and isinstance(found, Mapping) and "version" in found:
        return  # A file of stories or of the domain.
    if not isinstance(entries, list):
        raise InputError(
            "no training data of Rasa.", where=name, cure="It begins with `nlu:` and a list of intents."
        )
    for at, entry in enumerate(entries):
        line = _line(entries, at)
        if not isinstance(entry, Mapping):
            yield Broken(
                f"{name}:{line}", escaped(str(entry)), "not an intent", "an entry is `- intent: ...`"
            )
        elif "intent" in entry:
            yield from _intent(entry, name, line)


def _loaded(path: Path, name: str) -> Any:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"larger than {MOST_BYTES:,} bytes.", where=name, cure="Split it into several files."
            )
        return YAML().load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}.", where=name) from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError("not UTF-8.", where=f"{name}:{line}", cure="Save the file as UTF-8.") from None
    except (YAMLError, ValueError, RecursionError) as error:
        mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
        said = str(error.problem if isinstance(error, MarkedYAMLError) else error).split("\n")[0]
        where = f"{name}:{mark.line + 1}" if mark else name
        raise InputError(
            f"not YAML: {said}.", where=where, cure="Correct the line, or the one above."
        ) from None


def _intent(entry: Any, name: str, line: int) -> Iterator[Raw | Broken]:
    label, examples = str(entry["intent"]), entry.get("examples")
    if isinstance(examples, str):
        first = entry.lc.value("examples")[0] + 2
        lines = [(first + at, text) for at, text in enumerate(examples.split("\n")) if text.strip()]
        for number, text in lines:
            found = _EXAMPLE.fullmatch(text)
            yield _row(found[1] if found else None, text, label, f"{name}:{number}")
    elif isinstance(examples, list):
        for at, example in enumerate(examples):
            yield _row(_said(example), str(example), label, f"{name}:{_line(examples, at)}")
    else:
        yield Broken(f"{name}:{line}", escaped(str(dict(entry))), "no examples", f"{label!r} has no examples")


def _said(example: object) -> str | None:
    """The words of an example that is an entry of its own: a text, or a mapping with one."""
    text = example.get("text") if isinstance(example, Mapping) else example
    if not isinstance(text, str):
        return None
    found = _EXAMPLE.fullmatch(text)
    return found[1] if found else text.strip()


def _row(text: str | None, content: str, label: str, place: str) -> Raw | Broken:
    if text is None:
        return Broken(place, escaped(content), "not an example", "an example begins with `- `")
    plain = _ENTITY.sub(r"\1", text)
    while plain != text:
        text, plain = plain, _ENTITY.sub(r"\1", plain)
    return Raw(plain, label, None, place)


def _line(listed: Any, at: int) -> int:
    """The line of an entry of a list as ruamel read it, from 1."""
    return int(listed.lc.item(at)[0]) + 1
