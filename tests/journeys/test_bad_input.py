"""What people get wrong, a kind a test: the message says what, where and the cure, and nothing is lost."""

from __future__ import annotations

import json
import random
import shutil
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_project import INTENTS, make_project
from spoilt_project import Act, edited, project, served, source, state
from sqlalchemy import select

from headrace import recipe as recipes
from headrace.cli import app
from headrace.cli.failures import code_of
from headrace.cli.failures import said as shown
from headrace.errors import (
    ArtifactError,
    Conflict,
    HeadraceError,
    InputError,
    NotFound,
    NotServed,
    RecipeError,
    StoreBusy,
    StoreError,
    TrainingError,
)
from headrace.feedback.record import record
from headrace.project import Project
from headrace.recipe import RECIPE
from headrace.release.promote import promote
from headrace.store import tables
from headrace.store.lock import only_one
from headrace.web.server import listening

__all__ = ["project", "served"]  # fixtures
pytestmark = pytest.mark.xdist_group("bad-input")


@dataclass(frozen=True)
class Bad:
    """A mistake: `prepare` makes it and returns the act that must fail with `kind` and say `words`."""

    name: str
    prepare: Callable[[Project], Act]
    kind: type[HeadraceError]
    words: tuple[str, ...]


BAD: list[Bad] = []


def bad(name: str, kind: type[HeadraceError], *words: str) -> Callable[[Callable[[Project], Act]], None]:
    """Register a mistake."""
    return lambda prepare: BAD.append(Bad(name, prepare, kind, words))


@pytest.mark.parametrize("mistake", [pytest.param(None, id="none")])
def test_a_project_that_nobody_spoils_works(mistake: None, project: Project) -> None:
    before = state(project)
    assert project.predict(["a key pls"], task="intent", channel="desk")
    after = state(project)
    assert {name for name in before if before[name] != after[name]} == {"answers"}


# -- the recipe


@bad(
    "a recipe with five mistakes", RecipeError, "5 mistakes", "line 2", "line 4", "line 6", "line 8", "line 9"
)
def _(project: Project) -> Act:
    text = (
        "name: small\nseed: often\ntasks:\n  intent: {bass: tiny}\nchannels:\n  desk: {tasks: [intend]}\n"
        "sources:\n  desk: {channel: desk, task: intent, connector: fiels, options: {path: x}}\n"
        "gate: {margin: -1}\n"
    )
    return lambda: recipes.parse(text)


@bad("a recipe that is no YAML", RecipeError, "bad.yaml", "line 3", "not YAML")
def _(project: Project) -> Act:
    (project.folder / "bad.yaml").write_text("name: small\ntasks: [intent\n")
    return lambda: recipes.read(project.folder / "bad.yaml")


@bad("a recipe that is not UTF-8", RecipeError, "bad.yaml", "line 2", "UTF-8")
def _(project: Project) -> Act:
    (project.folder / "bad.yaml").write_bytes("name: small\n# ä\n".encode("latin-1"))
    return lambda: recipes.read(project.folder / "bad.yaml")


@bad("a folder where the recipe should be", RecipeError, "folder", "bad.yaml")
def _(project: Project) -> Act:
    (project.folder / "bad.yaml").mkdir()
    return lambda: recipes.read(project.folder / "bad.yaml")


@bad("no recipe at all", NotFound, RECIPE, "headrace init")
def _(project: Project) -> Act:
    return lambda: Project(project.folder / "data").status()


@bad("an unknown plug-in", RecipeError, "sources.desk.connector", "'fiels'", "Did you mean 'files'?")
def _(project: Project) -> Act:
    opened = edited(
        project, "intent, options: {path: data/desk", "intent, connector: fiels, options: {path: data/desk"
    )
    return lambda: opened.recipe


@bad("an unknown plug-in of somebody else", RecipeError, "'their.shop:Part'", "package.module:Class")
def _(project: Project) -> Act:
    opened = edited(
        project,
        "intent, options: {path: data/desk",
        "intent, connector: 'their.shop:Part', options: {path: data/desk",
    )
    return lambda: opened.recipe


@bad("a plug-in's option with a typo", RecipeError, "sources.desk.options.splitt", "Did you mean 'split'?")
def _(project: Project) -> Act:
    opened = edited(project, "data/desk.jsonl, split: split", "data/desk.jsonl, splitt: split")
    return lambda: opened.recipe


@bad("a source of a removed channel", RecipeError, "sources.forum.channel", "there is no channel 'forum'")
def _(project: Project) -> Act:
    opened = edited(project, "  forum: {tasks: [intent], language: en}\n", "")
    return lambda: opened.recipe


@bad("removing a channel that a source names", Conflict, "'forum'", RECIPE, "Take that source out first")
def _(project: Project) -> Act:
    return lambda: project.remove_channel("forum")


@bad("a channel added to a broken recipe", RecipeError, "gate.margin", "line ")
def _(project: Project) -> Act:
    opened = edited(project, "margin: 40.0", "margin: much")
    return lambda: opened.add_channel("shop", ["intent"])


@bad("adding a channel twice", Conflict, "channel 'desk'", "exists already")
def _(project: Project) -> Act:
    return lambda: project.add_channel("desk", ["intent"])


@bad("a channel's name that is none", RecipeError, "channels.My Shop", "line ")
def _(project: Project) -> Act:
    return lambda: project.add_channel("My Shop", ["intent"])


@bad("a project begun twice", Conflict, RECIPE, "another folder")
def _(project: Project) -> Act:
    return lambda: Project.init(project.folder)


# -- rows that no run can use at all


@bad("an empty file", InputError, "data/desk.csv", "empty")
def _(project: Project) -> Act:
    return source(project, b"", "desk.csv")


@bad("a file that is not there", NotFound, "'data/nothing.csv'", "path")
def _(project: Project) -> Act:
    opened = edited(project, "data/desk.jsonl, split: split", "data/nothing.csv")
    return lambda: opened.collect(["desk"])


@bad("a folder instead of a file", NotFound, "'data/desk.csv'", "known endings")
def _(project: Project) -> Act:
    (project.folder / "data" / "desk.csv").mkdir()
    opened = edited(project, "data/desk.jsonl, split: split", "data/desk.csv")
    return lambda: opened.collect(["desk"])


@bad("a missing column", InputError, "data/desk.csv", "'texte'", "Did you mean 'text'?")
def _(project: Project) -> Act:
    return source(project, b"text,label\na,b\n", "desk.csv", text="texte")


@bad("an unknown encoding", InputError, "'utf8000'", "gb18030")
def _(project: Project) -> Act:
    return source(project, b"text,label\na,b\n", "desk.csv", encoding="utf8000")


@bad("a cut-off gzip file", InputError, "data/desk.csv.gz", "gzip")
def _(project: Project) -> Act:
    return source(project, b"\x1f\x8b\x08\x00cut", "desk.csv.gz")


@bad("SQL with a syntax error", InputError, "SELEKT", "options.query")
def _(project: Project) -> Act:
    sqlite3.connect(project.folder / "crm.db").close()
    opened = edited(
        project,
        "options: {path: data/desk.jsonl, split: split}",
        "connector: sql, options: {url: 'sqlite:///crm.db', query: SELEKT 1}",
    )
    return lambda: opened.collect(["desk"])


@bad("a database that is not there", NotFound, "'crm.db'", "options.url")
def _(project: Project) -> Act:
    opened = edited(
        project,
        "options: {path: data/desk.jsonl, split: split}",
        "connector: sql, options: {url: 'sqlite:///crm.db', query: SELECT 1}",
    )
    return lambda: opened.collect(["desk"])


@bad("a source's Postgres that does not answer", InputError, "postgresql", "options.url")
def _(project: Project) -> Act:
    opened = edited(
        project,
        "options: {path: data/desk.jsonl, split: split}",
        f"connector: sql, options: {{url: 'postgresql://me:hush@127.0.0.1:{free_port()}/x', query: SELECT 1}}",
    )
    return lambda: opened.collect(["desk"])


@bad("an unknown source", NotFound, "'desk2'", RECIPE, "Known: desk, forum")
def _(project: Project) -> Act:
    return lambda: project.collect(["desk2"])


@bad("a field that a row does not have", InputError, "'lable'", "python:1", "label")
def _(project: Project) -> Act:
    return lambda: project.add_rows([{"text": "a", "lable": "b"}], channel="desk", task="intent")


@bad("a quarantined row that nobody has", NotFound, "'q_none'", "headrace quarantine list")
def _(project: Project) -> Act:
    return lambda: project.restore_row("q_none")


@bad("an empty row taken back as it is", InputError, "text", "empty", "Give its text")
def _(project: Project) -> Act:
    rejected = project.quarantine(reason="empty")[0].id
    return lambda: project.restore_row(rejected)


# -- training and releasing


@bad("a task that is not there", NotFound, "'intend'", "Did you mean 'intent'?")
def _(project: Project) -> Act:
    return lambda: project.train("intend")


@bad("a task without examples", TrainingError, "no example", "headrace collect")
def _(project: Project) -> Act:
    opened = edited(project, "tasks:\n", "tasks:\n  mood: {base: all-MiniLM-L6-v2}\n")
    return lambda: opened.train("mood")


@bad("only one label", TrainingError, "'rollback'", "other label")
def _(project: Project) -> Act:
    examples = [e for e in project.store.examples.of("intent") if e.label == "rollback"]
    return lambda: project.train("intent", examples=examples)


@bad("a base that does not exist", NotFound, "'all-minilm-L9'", "Did you mean 'all-MiniLM-L6-v2'?")
def _(project: Project) -> Act:
    opened = with_base(project, "all-minilm-L9")
    return lambda: opened.train("intent")


@bad("a base folder without tokenizer.json", ArtifactError, "tokenizer.json", "base")
def _(project: Project) -> Act:
    base = copied_base(project)
    (base / "tokenizer.json").unlink()
    opened = with_base(project, str(base))
    return lambda: opened.train("intent")


@bad("a base of another family", ArtifactError, "'gpt2'", "bert, roberta")
def _(project: Project) -> Act:
    base = copied_base(project)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    opened = with_base(project, str(base))
    return lambda: opened.train("intent")


@bad("a base with cut-off weights", ArtifactError, "model.safetensors")
def _(project: Project) -> Act:
    weights = copied_base(project) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    opened = with_base(project, str(weights.parent))
    return lambda: opened.train("intent")


@bad("a base whose sizes do not fit its weights", ArtifactError, "base")
def _(project: Project) -> Act:
    base = copied_base(project)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 7}))
    opened = with_base(project, str(base))
    return lambda: opened.train("intent")


@bad("an adapter that nobody has", NotFound, "'adp_none'", "headrace history")
def _(project: Project) -> Act:
    return lambda: project.evaluate("adp_none")


@bad("an adapter of one channel released to another", Conflict, "'desk'", "'forum'")
def _(project: Project) -> Act:
    own = project.store.history.adapters("intent", "desk")[0]
    return lambda: promote(project.store, "intent", ["forum"], own.id, {})


@bad("a second turn while one runs", StoreBusy, "turn", "Wait")
def _(project: Project) -> Act:
    def act() -> None:
        with only_one(project.store.database, project.folder, "turn"):
            Project(project.folder).turn()

    return act


@bad("a rollback with nothing before", NotFound, "nothing was released before", "'desk'", "headrace history")
def _(project: Project) -> Act:
    return lambda: project.rollback("intent", "desk")


@bad("a rollback to what never served", NotFound, "'rel_none'", "headrace history")
def _(project: Project) -> Act:
    return lambda: project.rollback("intent", "desk", to="rel_none")


# -- answers and feedback


@bad("a question before the first release", NotServed, "'intent'", "'desk'", "headrace turn")
def _(project: Project) -> Act:
    fresh = make_project(project.folder.parent / "new" / "p", ready=False)
    return lambda: fresh.predict(["a key"], task="intent", channel="desk")


@bad("a channel that does not ask the task", NotFound, "'desk'", "'mood'", "It asks: intent")
def _(project: Project) -> Act:
    opened = edited(project, "tasks:\n", "tasks:\n  mood: {base: all-MiniLM-L6-v2}\n")
    return lambda: opened.predict(["a key"], task="mood", channel="desk")


@bad("an unknown channel", NotFound, "'dsek'", "Did you mean 'desk'?")
def _(project: Project) -> Act:
    return lambda: project.predict(["a key"], task="intent", channel="dsek")


@bad("an empty question", InputError, "text 2", "empty")
def _(project: Project) -> Act:
    return lambda: project.predict(["a key", " \n"], task="intent", channel="desk")


@bad("one text where a list of texts belongs", InputError, "texts", "a list of texts", "[text]")
def _(project: Project) -> Act:
    return lambda: project.predict("a key", task="intent", channel="desk")


@bad("half a character in a question", InputError, "text 1", "half")
def _(project: Project) -> Act:
    return lambda: project.predict(["a key \ud83d"], task="intent", channel="desk")


@bad("a NUL character in a question", InputError, "text 1", "NUL")
def _(project: Project) -> Act:
    return lambda: project.predict(["a \x00 key"], task="intent", channel="desk")


@bad("an unknown label in feedback", InputError, "label", "'rolback'", "Did you mean 'rollback'?")
def _(project: Project) -> Act:
    answer = answer_of(project, "desk")
    return lambda: project.add_feedback(answer, "correction", "rolback")


@bad("a correction without a label", InputError, "label", "Add the label")
def _(project: Project) -> Act:
    answer = answer_of(project, "desk")
    return lambda: project.add_feedback(answer, "correction")


@bad("an answer that nobody gave", NotFound, "no such answer")
def _(project: Project) -> Act:
    return lambda: project.add_feedback("ans_none", "right")


@bad("an answer of another channel", NotFound, "no such answer")
def _(project: Project) -> Act:
    answer = answer_of(project, "forum")
    return lambda: record(project.store, answer, channel="desk", verdict="right", labels=INTENTS)


# -- a key in the wrong place: the message never repeats it


@bad("a key as a channel's name", HeadraceError, "key of Headrace", "revoke")
def _(project: Project) -> Act:
    secret = project.new_key("desk")[1]
    return lambda: project.add_channel(secret, ["intent"])


@bad("a key in the recipe", RecipeError, "line 2", "key of Headrace", "revoke")
def _(project: Project) -> Act:
    opened = edited(project, "seed: 3", f"seed: {project.new_key('desk')[1]}")
    return lambda: opened.recipe


@bad("a key as an answer's id", NotFound, "no such answer")
def _(project: Project) -> Act:
    secret = project.new_key("desk")[1]
    return lambda: project.add_feedback(secret, "right")


@bad("a key as a label", InputError, "label", "key of Headrace")
def _(project: Project) -> Act:
    answer, secret = answer_of(project, "desk"), project.new_key("desk")[1]
    return lambda: project.add_feedback(answer, "correction", secret)


@bad("a key as a task", NotFound, "task", "key of Headrace")
def _(project: Project) -> Act:
    secret = project.new_key("desk")[1]
    return lambda: project.predict(["a key"], task=secret, channel="desk")


# -- files of the store


@bad("an adapter with one bit turned", ArtifactError, "head.safetensors is damaged", "headrace restore")
def _(project: Project) -> Act:
    path = artifact(project, "head.safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 0x40
    path.write_bytes(content)
    return lambda: project.predict(["a key"], task="intent", channel="desk")


@bad("a cut-off adapter", ArtifactError, "head.safetensors is damaged", "headrace restore")
def _(project: Project) -> Act:
    path = artifact(project, "head.safetensors")
    path.write_bytes(path.read_bytes()[:200])
    return lambda: project.predict(["a key"], task="intent", channel="desk")


@bad("a missing artifact", ArtifactError, "missing", "artifacts", "headrace restore")
def _(project: Project) -> Act:
    artifact(project, "graph.onnx").unlink()
    return lambda: project.predict(["a key"], task="intent", channel="desk")


@bad("a restore of what is no backup", InputError, "photo.tar", "not a backup")
def _(project: Project) -> Act:
    photo = project.folder / "photo.tar"
    photo.write_bytes(random.Random(1).randbytes(5000))
    return lambda: Project.restore(photo, project.folder / "restored")


@bad("a restore of half a backup", InputError, "half.tar", "Take another backup")
def _(project: Project) -> Act:
    project.backup(project.folder / "whole.tar")
    half = project.folder / "half.tar"
    half.write_bytes((project.folder / "whole.tar").read_bytes()[:60_000])
    return lambda: Project.restore(half, project.folder / "restored")


@bad(
    "a restore of a backup with a broken line",
    InputError,
    "spoilt.tar",
    "line 1 of the table",
    "Take another",
)
def _(project: Project) -> Act:
    whole, spoilt = project.folder / "whole.tar", project.folder / "spoilt.tar"
    project.backup(whole)
    spoilt.write_bytes(whole.read_bytes().replace(b'{"seq": 1,', b'("seq": 1,'))

    def act() -> None:
        target = project.folder / "restored"
        try:
            Project.restore(spoilt, target)
        finally:
            again = Project.restore(whole, target)  # the first attempt does not stand in its way
            assert state(again) == state(project)
            again.close()

    return act


@bad("a restore over a project", Conflict, RECIPE, "another folder")
def _(project: Project) -> Act:
    project.backup(project.folder / "whole.tar")
    return lambda: Project.restore(project.folder / "whole.tar", project.folder)


@bad("a backup onto a file", Conflict, "whole.tar", "another file")
def _(project: Project) -> Act:
    project.backup(project.folder / "whole.tar")
    return lambda: project.backup(project.folder / "whole.tar")


@bad("a store that was deleted", NotFound, "store.db", "headrace restore")
def _(project: Project) -> Act:
    other = shutil.copytree(project.folder, project.folder.parent / "other" / "p")
    for path in other.glob("store.db*"):
        path.unlink()
    return lambda: Project(other).status()


@bad("a store that is no database", StoreError, "store.db", "not a database", "headrace restore")
def _(project: Project) -> Act:
    other = shutil.copytree(project.folder, project.folder.parent / "other" / "p")
    for path in other.glob("store.db*"):
        path.unlink()
    (other / "store.db").write_bytes(b"no database at all" * 500)
    return lambda: Project(other).status()


@bad("a store on a Postgres that does not answer", StoreError, "127.0.0.1", "does not answer", "Start it")
def _(project: Project) -> Act:
    other = shutil.copytree(project.folder, project.folder.parent / "other" / "p")
    recipe = other / RECIPE
    where = f"store: postgresql://me:hush@127.0.0.1:{free_port()}/x\n"
    recipe.write_text(recipe.read_text() + where)
    return lambda: Project(other).status()


@bad("a port in use", InputError, "port", "in use", "--port")
def _(project: Project) -> Act:
    def act() -> None:
        with listening("127.0.0.1", 0) as first, listening("127.0.0.1", first.getsockname()[1]):
            pass

    return act


@pytest.mark.parametrize("mistake", BAD, ids=[one.name for one in BAD])
def test_a_mistake_is_told_with_its_cure_and_loses_nothing(mistake: Bad, project: Project) -> None:
    act = mistake.prepare(project)
    before = state(project)
    with pytest.raises(mistake.kind) as failed:
        act()
    error = failed.value
    told = f"{error} {getattr(error, 'field', '')}"
    assert [word for word in mistake.words if word not in told] == [], told
    assert error.cure or isinstance(error, RecipeError), f"no cure: {error}"
    assert code_of(error) == type(error).exit_code != 0
    assert "hr_live_" not in told.replace("hr_live_...", "")
    assert "hush" not in told
    assert shown(error).startswith("Error: ")
    assert state(project) == before


def test_a_backup_may_be_written_over_where_that_is_said(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    target = project.folder.parent / "whole.tar"
    target.write_bytes(b"an older one")
    with pytest.raises(SystemExit) as ended:
        app(["backup", str(target), "--force", "--project", str(project.folder)], prog_name="headrace")
    assert ended.value.code == 0, capsys.readouterr().err
    restored = Project.restore(target, project.folder.parent / "restored")
    assert state(restored) == state(project)
    restored.close()


def test_a_text_of_a_megabyte_is_answered(project: Project) -> None:
    text = "where is my key " * 65_536
    (answer,) = project.predict([text], task="intent", channel="desk")
    assert project.store.answers.get(answer.id).text == text


def test_a_small_new_channel_does_not_stop_a_turn(project: Project) -> None:
    project.add_channel("partner", ["intent"])
    rows = [{"text": f"my one {label}", "label": label, "split": "train"} for label in INTENTS[:2]]
    project.add_rows(rows, channel="partner", task="intent")
    turn = project.turn()
    assert {pair.channel for pair in turn.pairs} == {"desk", "forum", "partner"}
    assert any("single example" in line.message for line in project.history(channel="partner"))


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def copied_base(project: Project) -> Path:
    """A copy of the tiny base, to be spoilt."""
    base = Path(project.recipe.task("intent").base)
    return shutil.copytree(base, project.folder.parent / "base")


def with_base(project: Project, base: str) -> Project:
    """The project on another base."""
    return edited(project, f"base: {project.recipe.task('intent').base},", f"base: {base},")


def answer_of(project: Project, channel: str) -> str:
    """The id of an answer that the channel was given."""
    with project.store.database.read() as connection:
        query = select(tables.answers.c.id).where(tables.answers.c.channel == channel)
        return str(connection.execute(query).scalars().first())


def artifact(project: Project, name: str) -> Path:
    """Where a file of the serving adapter stands."""
    release = project.store.history.serving()[0]
    adapter = project.store.history.adapter(release.adapter)
    return project.store.artifacts.path(adapter.files[name])
