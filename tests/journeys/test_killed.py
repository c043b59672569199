"""kill -9 at random moments of every verb: nothing acknowledged is lost, and the next command continues.

A verb runs in a child and says what it acknowledges; the parent kills it, opens the store, compares, and runs
the verb again. The end must be that of a run that nobody disturbed. The moment is a random share of the time
that such a run takes.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import work_to_kill as work
from sqlalchemy import or_, select
from zygote import Done, Zygote

from headrace.serving.live import RADIUS_FILE
from headrace.store import Store, tables
from headrace.store.lock import only_one

pytestmark = pytest.mark.xdist_group("killed")
LORA = "train: {method: lora, options: {layers: 1, epochs: 2, batch: 16}}"
Say = Callable[..., Any]


@dataclass(frozen=True)
class Scene:
    """A verb, the project before it, and the project after a run that nobody disturbed."""

    verb: Say
    before: Path
    after: Path
    seconds: float


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made


@pytest.fixture(scope="module")
def scenes(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scene]:
    """The scene of a verb; those before it in the walk are played once."""
    folder, found = tmp_path_factory.mktemp("scenes"), dict[str, Scene]()

    def scene(name: str) -> Scene:
        if name not in found:
            before = folder / name / "before" / "p"
            _prepare(name, before, scene, zygote)
            verb = getattr(work, name.removesuffix("-lora"))
            found[name] = _undisturbed(verb, before, folder / name / "after" / "p", zygote)
        return found[name]

    return scene


def _prepare(name: str, before: Path, scene: Callable[[str], Scene], zygote: Zygote) -> None:
    if name in ("collect", "train", "train-lora"):
        zygote.call(work.begin, str(before), name != "collect").value()
    else:
        earlier = {"release": "train", "feedback": "release", "turn": "feedback"}[name]
        shutil.copytree(scene(earlier).after, before)
    if name == "collect":
        work.write_many(before)
    if name == "turn":
        work.write_more(before)
    if name == "train-lora":
        recipe = before / "headrace.yaml"
        recipe.write_text(recipe.read_text("utf-8").replace("train: {method: head}", LORA), "utf-8")


def _undisturbed(verb: Say, before: Path, after: Path, zygote: Zygote) -> Scene:
    """Play it, and again where that imported modules: they count as time, and the next child has them."""
    for _ in range(2):
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(before, after)
        done = zygote.call(verb, str(after), [])
        assert done.value() != 0, "a turn that releases nothing shows little"
        assert done.said
        if not done.imported:
            break
    return Scene(verb, before, after, done.seconds)


def _check_killed(scene: Scene, count: int, zygote: Zygote, tmp_path: Path) -> None:
    """Kill `count` runs at random moments; a run that was done before its moment does not count."""
    seed = random.getrandbits(32)
    print(f"seed {seed}: {count} kills of {scene.verb.__name__}, {scene.seconds:.2f} s undisturbed")
    draw, whole, kills = random.Random(seed), _told(scene.after), 0
    for attempt in range(4 * count):
        moment = draw.uniform(0, scene.seconds)
        said = f"seed {seed}, attempt {attempt}, {moment:.3f} of {scene.seconds:.3f} s"
        folder = tmp_path / "p"
        shutil.copytree(scene.before, folder)
        done = zygote.call(scene.verb, str(folder), [], kill_after=moment)
        _nothing_lost(folder, done, said)
        zygote.call(scene.verb, str(folder), done.said).value()
        for part, told in _told(folder).items():
            assert told == whole[part], f"{part} differs; {said}"
        shutil.rmtree(folder)
        kills += done.killed
        if kills == count:
            return
    pytest.fail(f"only {kills} of {4 * count} runs could be killed")


def _nothing_lost(folder: Path, done: Done, said: str) -> None:
    """What was acknowledged is there, the database is whole, and no lock was left behind."""
    store = Store.open("store.db", folder)
    with only_one(store.database, folder, "turn"):
        pass
    with sqlite3.connect(folder / "store.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], said
    connection.close()
    for digest in store.artifacts:
        store.artifacts.get(digest)
    lost = [one for one in done.said if not _there(store, *one)]
    assert lost == [], said
    store.close()


def _there(store: Store, kind: str, *what: Any) -> bool:
    if kind == "rows":
        return bool(_came_in(store, what[0]) >= what[1])
    if kind == "cleaned":
        judged = sum(n for (_, _, state), n in store.rows.counts().items() if state != "new")
        return bool(judged >= what[0])
    if kind == "adapter":
        return bool(store.history.adapter(what[0]).id == what[0])
    if kind == "release":
        return what in {(release.channel, release.adapter) for release in store.history.releases()}
    if kind == "answer":
        return bool(store.answers.get(what[0]).id == what[0])
    if kind == "feedback":
        return what in {(one.id, one.text) for one in store.feedback.list()}
    return any(turn.id == what[0] and turn.finished for turn in store.turns.list())


def _came_in(store: Store, source: str) -> int:
    """Rows of a source, and what of it never became a row of its own."""
    with store.database.read() as connection:
        kept = select(tables.rows.c.id).where(tables.rows.c.source == source)
        ids = set(connection.execute(kept).scalars())
        t = tables.quarantine.c
        never = (t.source == source, or_(t.row.is_(None), t.reason == "duplicate"))
        return len(ids) + len(connection.execute(select(t.id).where(*never)).all())


def _told(folder: Path) -> dict[str, Any]:
    """All that must be the same however often a verb was cut off: everything but ids drawn, and times."""
    store = Store.open("store.db", folder)
    history = store.history
    told = {
        "rows": sorted(_rows(folder)),
        "masked details": dict(store.rows.masked()),
        "quarantine": sorted(
            (q.id, q.reason, q.place, q.content) for q in store.quarantine.list(limit=10**6)
        ),
        "examples": sorted(
            (e.id, e.text, e.label, e.split, e.origin, e.same_as or "") for e in store.examples.of("intent")
        ),
        "adapters": sorted((a.id, a.channel or "", sorted(_weights(a.files))) for a in history.adapters()),
        "reports": sorted(report.id for report in history.reports()),
        "releases": Counter((r.channel, r.adapter, r.kind) for r in history.releases()),
        "serving": {(r.task, r.channel): r.adapter for r in history.serving()},
        "feedback": {(f.text, f.verdict, f.label, f.used) for f in store.feedback.list()},
        "decisions": {(e.kind, e.channel, e.message) for e in history.events() if e.kind != "turn"},
        "open turn": store.turns.open(),
    }
    store.close()
    return told


def _weights(files: Mapping[str, str]) -> set[tuple[str, str]]:
    """An adapter's files but for the radius, whose last bits depend on what shared a batch with what."""
    return {(name, digest) for name, digest in files.items() if name != RADIUS_FILE}


def _rows(folder: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "store.db") as connection:
        query = "SELECT id, source, text, label, split, place, origin, state FROM rows"
        found = connection.execute(query).fetchall()
    connection.close()
    return [tuple("" if value is None else value for value in row) for row in found]


VERBS = [("collect", 10), ("train", 10), ("train-lora", 3), ("release", 10), ("feedback", 10), ("turn", 10)]


@pytest.mark.parametrize(("name", "count"), VERBS, ids=[name for name, _ in VERBS])
def test_a_killed_verb_loses_nothing_and_continues(
    name: str, count: int, scenes: Callable[[str], Scene], zygote: Zygote, tmp_path: Path
) -> None:
    _check_killed(scenes(name), count, zygote, tmp_path)


@pytest.mark.torture
@pytest.mark.parametrize("name", [name for name, _ in VERBS])
def test_a_verb_killed_two_hundred_times(
    name: str, scenes: Callable[[str], Scene], zygote: Zygote, tmp_path: Path
) -> None:
    _check_killed(scenes(name), 200, zygote, tmp_path)
