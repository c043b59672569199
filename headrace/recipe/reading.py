"""The file -> Recipe, and edits of it. Every mistake is reported at once, with its line, value and cure.

YAML 1.2 through ruamel (labels such as `yes` and `on` stay text), shape and values through pydantic; the
options of a plug-in are checked by the class that the plug-in names, in the same pass.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from headrace import plugins
from headrace.errors import Conflict, HeadraceError, NotFound, RecipeError, StoreError, StoreFull
from headrace.recipe.sections import Recipe, Section, nearest

RECIPE = "headrace.yaml"
"""The name of the file in a project's folder."""


@dataclass(frozen=True)
class _Mistake:
    path: tuple[str | int, ...]
    text: str


def read(path: Path) -> Recipe:
    """The recipe in `path`.

    Raises RecipeError with all mistakes, NotFound where the file is absent.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"no recipe at {path}.", cure="Run: headrace init") from None
    except OSError as error:
        said = "a folder stands here" if path.is_dir() else f"the file cannot be read ({error.strerror})"
        raise RecipeError([f"{said}. Put a recipe in its place."], where=str(path)) from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            [f"line {_line_of(path, error.start)}: not UTF-8. Save the file as UTF-8."], where=str(path)
        ) from None
    return parse(text, where=str(path))


def parse(text: str, *, where: str = RECIPE) -> Recipe:
    """The recipe in a YAML text; raises RecipeError with every mistake."""
    tree = _tree(text, where)
    if not isinstance(tree, Mapping):
        raise RecipeError(
            ["line 1: the file must map keys to values, for example `name: my-shop`."], where=where
        )
    mistakes: list[_Mistake] = []
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        mistakes += [_shape_mistake(details) for details in error.errors()]
    mistakes += _references(tree)
    mistakes += _plugin_options(tree)
    if mistakes or recipe is None:
        lines = sorted({(_line(tree, m.path), f"{_dotted(m.path)}: {m.text}") for m in mistakes})
        raise RecipeError([f"line {line}: {said}" for line, said in lines], where=where)
    return recipe


def edit(path: Path, section: str, name: str, value: Mapping[str, object] | None) -> None:
    """Set (or, with None, remove) `section.name` in a recipe file, its comments kept.

    Raises Conflict where the name exists already, NotFound where there is nothing to remove, RecipeError
    where the file is wrong or would be, StoreError where it cannot be written; it then stays as it was.
    """
    read(path)
    yaml = YAML()
    yaml.preserve_quotes = True
    tree = yaml.load(path.read_text(encoding="utf-8"))
    entries = tree.setdefault(section, {})
    if entries is None:
        entries = tree[section] = {}
    noun = section.rstrip("s")
    if value is None and name not in entries:
        raise NotFound(f"there is no {noun} {name!r}.", cure=nearest(name, entries))
    if value is not None and name in entries:
        raise Conflict(f"{noun} {name!r} exists already.", where=str(path), cure="Edit it in the file.")
    if value is None:
        del entries[name]
    else:
        entries[name] = dict(value)
    out = io.StringIO()
    yaml.dump(tree, out)
    parse(out.getvalue(), where=str(path))
    write(path, out.getvalue())


def write(path: Path, text: str) -> None:
    """Put `text` in the place of a recipe file, all of it or nothing; raises StoreError where it cannot."""
    target = path.resolve()
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(scratch, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, scratch)
        os.replace(scratch, target)
    except OSError as error:
        kind = StoreFull if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) else StoreError
        cure = "Free some space, or give yourself the right to write there, and run it again."
        raise kind(f"the recipe cannot be written: {error.strerror}.", where=str(path), cure=cure) from error
    finally:
        scratch.unlink(missing_ok=True)


def _tree(text: str, where: str) -> Any:
    try:
        return YAML().load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        said = str(error.problem).splitlines()[0] if error.problem else "a key stands twice"
        raise RecipeError([f"line {line}: {said}. Keep one of the two."], where=where) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RecipeError(
            [f"line {mark.line + 1 if mark else 1}: not YAML: {error.problem}."], where=where
        ) from None
    except YAMLError as error:
        raise RecipeError([f"line 1: not YAML: {str(error).splitlines()[0]}."], where=where) from None


def _shape_mistake(details: ErrorDetails) -> _Mistake:
    path = tuple(part for part in details["loc"] if part != "[key]")
    if details["type"] == "extra_forbidden":
        known = _keys_at(path[:-1])
        return _Mistake(path, f"unknown key. {nearest(str(path[-1]), known)}")
    if details["type"] == "missing":
        return _Mistake(path, "is missing. Add it.")
    value = "[hidden]" if path[:2] == ("alerts", "to") else _short(details["input"])
    return _Mistake(path, f"{value}: {details['msg'][0].lower()}{details['msg'][1:]}.")


def _keys_at(path: Sequence[str | int]) -> Sequence[str]:
    """The keys that the section at `path` may have."""
    section: Any = Recipe
    for part in path:
        if isinstance(section, type) and issubclass(section, Section) and part in section.model_fields:
            kind = section.model_fields[str(part)].annotation
            section = get_args(kind)[1] if get_args(kind)[1:] else kind
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, Section) else []


def _references(tree: Mapping[str, Any]) -> Iterator[_Mistake]:
    tasks, channels = _entries(tree, "tasks"), _entries(tree, "channels")
    for name, channel in channels.items():
        listed = channel.get("tasks") if isinstance(channel, Mapping) else None
        for i, task in enumerate(
            listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()
        ):
            if task not in tasks:
                yield _Mistake(
                    ("channels", name, "tasks", i), f"there is no task {task!r}. {nearest(task, tasks)}"
                )
    for name, source in _entries(tree, "sources").items():
        for key, known in (("task", tasks), ("channel", channels)):
            value = source.get(key) if isinstance(source, Mapping) else None
            if isinstance(value, str) and value not in known:
                yield _Mistake(
                    ("sources", name, key), f"there is no {key} {value!r}. {nearest(value, known)}"
                )
    yield from _support_references(tree, tasks, channels)
    for name, found in _entries(tree, "knowledge").items():
        channel = found.get("channel") if isinstance(found, Mapping) else None
        if isinstance(channel, str) and channel not in channels:
            yield _Mistake(
                ("knowledge", name, "channel"),
                f"there is no channel {channel!r}. {nearest(channel, channels)}",
            )


def _support_references(
    tree: Mapping[str, Any], tasks: Mapping[str, Any], channels: Mapping[str, Any]
) -> Iterator[_Mistake]:
    support = _entries(tree, "support")
    listed = support.get("channels")
    named = list(enumerate(listed)) if isinstance(listed, Sequence) and not isinstance(listed, str) else []
    targets = support.get("targets")
    named += [(name, name) for name in targets] if isinstance(targets, Mapping) else []
    for at, channel in named:
        if channel not in channels:
            key = "channels" if isinstance(at, int) else "targets"
            yield _Mistake(
                ("support", key, at), f"there is no channel {channel!r}. {nearest(channel, channels)}"
            )
    for key in ("intent", "sentiment", "search"):
        task = support.get(key)
        if isinstance(task, str) and task not in tasks:
            yield _Mistake(("support", key), f"there is no task {task!r}. {nearest(task, tasks)}")


def _plugin_options(tree: Mapping[str, Any]) -> Iterator[_Mistake]:
    for name, source in _entries(tree, "sources").items():
        if isinstance(source, Mapping):
            connector = source.get("connector", "files")
            yield from _options(
                "connectors", connector, source.get("options"), ("sources", name), "connector"
            )
    for name, found in _entries(tree, "knowledge").items():
        if isinstance(found, Mapping) and "format" in found:
            yield from _options(
                "formats", found["format"], found.get("options"), ("knowledge", name), "format"
            )
    train = tree.get("train")
    if isinstance(train, Mapping) and train.get("method", "auto") != "auto":
        yield from _options("methods", train["method"], train.get("options"), ("train",), "method")


def _options(kind: str, part: Any, given: Any, path: tuple[str, ...], key: str) -> Iterator[_Mistake]:
    if not isinstance(part, str):
        return
    try:
        known = plugins.options(kind, part)
    except HeadraceError as error:
        yield _Mistake((*path, key), error.message)
        return
    try:
        known.model_validate(given or {})
    except ValidationError as error:
        for details in error.errors():
            inner = _shape_mistake(details)
            text = inner.text
            if details["type"] == "extra_forbidden":
                text = f"unknown key. {nearest(str(inner.path[-1]), known.model_fields)}"
            yield _Mistake((*path, "options", *inner.path), text)


def _entries(tree: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    found = tree.get(section)
    return found if isinstance(found, Mapping) else {}


def _line(tree: Any, path: Sequence[str | int]) -> int:
    """The line of the deepest part of `path` that stands in the file, from 1."""
    line, node = 1, tree
    for part in path:
        marks = getattr(node, "lc", None)
        if marks is None or marks.data is None or part not in marks.data:
            break
        line = marks.data[part][0] + 1
        node = node[part]
    return line


def _line_of(path: Path, offset: int) -> int:
    return path.read_bytes()[:offset].count(b"\n") + 1


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path) or "the file"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
