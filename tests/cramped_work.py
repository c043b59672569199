"""Verbs in a process whose disk takes no more, or may only be read; for children of the zygote."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from zygote import Say

from headrace.cli.failures import code_of
from headrace.errors import HeadraceError
from headrace.project import Project


def fill(say: Say, folder: str, verb: str, most: int) -> str:
    """Run a verb where no file may grow beyond `most` bytes; the error's class and words."""
    _, highest = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, highest))
    try:
        return _failed(folder, verb)
    finally:  # what the child says of itself goes into a file, too
        resource.setrlimit(resource.RLIMIT_FSIZE, (highest, highest))


def only_read(say: Say, folder: str, verb: str) -> str:
    """Run a verb where nothing may be written, not by root either."""
    for path in [Path(folder), *Path(folder).rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    _drop_rights()
    return _failed(folder, verb)


def run_verb(say: Say, folder: str, verb: str) -> str:
    """Run a verb in a child."""
    return _failed(folder, verb)


def _failed(folder: str, verb: str) -> str:
    project = Project(folder)
    try:
        VERBS[verb](project)
    except HeadraceError as error:
        return f"{type(error).__name__} {code_of(error)}: {error}"
    finally:
        project.close()
    return "nothing"


def _drop_rights() -> None:
    """Give up what lets root write where nobody may (capset(2), version 3, all sets empty)."""
    if os.geteuid() == 0:
        header, data = struct.pack("Ii", 0x20080522, 0), bytes(24)
        assert ctypes.CDLL(None, use_errno=True).capset(header, data) == 0


def _train_anew(project: Project) -> object:
    half = [e for e in project.store.examples.of("intent", splits=["train"]) if int(e.id[-1], 16) % 2]
    return project.train("intent", examples=half)


VERBS: Mapping[str, Callable[[Project], object]] = {
    "collect": lambda project: project.collect(["forum"]),
    "predict": lambda project: project.predict(["a key pls"] * 50, task="intent", channel="desk"),
    "train": _train_anew,
    "backup": lambda project: project.backup(project.folder / "backup.tar"),
    "add a channel": lambda project: project.add_channel("x" * 60, ["intent"], owner="y" * 5000),
}
