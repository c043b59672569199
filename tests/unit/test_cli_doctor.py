"""The doctor finds what is wrong, says the cure, and changes nothing."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tiny_base import make_tiny_base

from headrace.channels.keys import new_key
from headrace.cli import app
from headrace.doctor import Finding, examine
from headrace.errors import Conflict, NotFound
from headrace.project import Project
from headrace.records import Adapter, Event, Release
from headrace.store import Store

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
RECIPE = """\
name: shop
tasks:
  intent: {{base: {base}}}
channels:
  website: {{tasks: [intent]}}
serve: {{port: {port}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of a recipe and a store."""
    make_tiny_base(tmp_path / "base")
    project = tmp_path / "p"
    project.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = RECIPE.format(base=tmp_path / "base", port=port)
    (project / "headrace.yaml").write_text(text, encoding="utf-8")
    Store.open("store.db", project, create=True).close()
    return project


def found(folder: Path, subject: str, now: datetime = NOW) -> Finding:
    """The one finding on a subject."""
    (one,) = [one for one in examine(folder, clock=lambda: now) if one.subject.startswith(subject)]
    return one


def serve_an_adapter(folder: Path, at: datetime = NOW, precision: str = "int8") -> str:
    """Release an adapter of one file, whose graph has that precision; gives the file's digest."""
    with Store.open("store.db", folder).closing() as store:
        digest = store.artifacts.put(b"weights")
        made = {"graph": json.dumps(["fingerprint", 128, "", [], precision])}
        adapter = Adapter("adp_1", "intent", None, "base", ("a",), {"head": digest}, made, 7, 0.1, at)
        store.history.add(adapter, Release("rel_1", "intent", "website", "adp_1", at, {}))
    return digest


def test_a_sound_project_has_no_failure(folder: Path) -> None:
    serve_an_adapter(folder)
    findings = examine(folder, clock=lambda: NOW)
    assert [one for one in findings if one.state == "fail"] == []
    sound = {"Python", "clock", "recipe", "store", "adapters"}
    assert sound <= {one.subject for one in findings if one.state == "ok"}


def test_every_finding_that_is_not_fine_has_a_cure(folder: Path) -> None:
    digest = serve_an_adapter(folder, datetime(2030, 1, 1, tzinfo=UTC))
    (folder / "artifacts" / digest[:2] / digest).unlink()
    findings = examine(folder, clock=lambda: datetime(1999, 1, 1, tzinfo=UTC))
    assert {"clock", "adapters", "history"} <= {one.subject for one in findings if one.state != "ok"}
    assert all(one.cure for one in findings if one.state != "ok")


def test_nothing_is_changed(folder: Path) -> None:
    serve_an_adapter(folder)
    before = {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".db-shm"
    }
    examine(folder, clock=lambda: NOW)
    assert {path: path.read_bytes() for path in before if path.exists()} == before


def test_a_folder_without_a_project_is_a_warning(tmp_path: Path) -> None:
    one = found(tmp_path, "recipe")
    assert (one.state, one.cure) == ("warn", "Run: headrace init")


def test_each_mistake_of_the_recipe_is_a_finding(folder: Path) -> None:
    (folder / "headrace.yaml").write_text("name: shop\nsed: 3\nstore: [1]\n", encoding="utf-8")
    mistakes = [one for one in examine(folder) if one.subject == "recipe"]
    assert [one.state for one in mistakes] == ["fail", "fail"]
    assert "line 2" in mistakes[0].found


def test_a_key_in_the_recipe_is_named_by_line_and_not_shown(folder: Path) -> None:
    with Store.open("store.db", folder).closing() as store:
        secret = new_key(store.keys, "website")[1]
    with open(folder / "headrace.yaml", "a", encoding="utf-8") as file:
        file.write(f"# {secret}\n")
    one = found(folder, "recipe")
    assert (one.state, secret in one.found) == ("fail", False)
    assert "line 7" in one.found


def test_no_store_and_a_damaged_store_are_failures(folder: Path) -> None:
    (folder / "store.db").write_bytes(b"not a database at all, whatever its name says" * 40)
    assert found(folder, "store").state == "fail"
    (folder / "store.db").unlink()
    one = found(folder, "store")
    assert (one.state, one.cure) == ("fail", "Run: headrace init")
    assert not (folder / "store.db").exists()


def test_a_recipe_without_a_store_is_completed_by_init_as_the_doctor_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "store.db").unlink()
    recipe = (folder / "headrace.yaml").read_bytes()
    assert found(folder, "store").cure == "Run: headrace init"
    with pytest.raises(SystemExit) as ended:
        app(["init", str(folder)], prog_name="headrace")
    assert ended.value.code in (None, 0)
    assert "Made the store, which was missing; " in capsys.readouterr().out
    assert (folder / "headrace.yaml").read_bytes() == recipe
    assert found(folder, "store").state == "ok"
    with pytest.raises(Conflict, match="project here already"):
        Project.init(folder)


def test_a_store_that_was_lost_is_not_made_anew(folder: Path) -> None:
    serve_an_adapter(folder)
    (folder / "store.db").unlink()
    assert "headrace restore BACKUP --project DIR" in found(folder, "store").cure
    with pytest.raises(NotFound, match="restore BACKUP"):
        Project.init(folder)
    assert not (folder / "store.db").exists()


def test_an_older_store_is_a_warning_and_stays_as_it_is(folder: Path) -> None:
    with Store.open("store.db", folder).closing() as store, store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM headrace_version")
    assert found(folder, "store").state == "warn"
    assert found(folder, "store").state == "warn", "looking must not upgrade"


def test_a_damaged_file_of_a_serving_adapter_is_a_failure(folder: Path) -> None:
    digest = serve_an_adapter(folder)
    path = folder / "artifacts" / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(b"weighty")
    assert found(folder, "adapters").state == "fail"


def test_a_precision_that_waits_for_training_is_a_warning(folder: Path) -> None:
    serve_an_adapter(folder, precision="fp32")
    one = found(folder, "precision")
    assert (one.state, one.cure) == ("warn", "Run: headrace turn")
    assert one.found == "intent is served in fp32; int8, as the recipe says, waits for training."
    (recipe,) = folder.glob("headrace.yaml")
    recipe.write_text(recipe.read_text("utf-8").replace("intent: {", "intent: {precision: fp32, "), "utf-8")
    assert [one for one in examine(folder) if one.subject == "precision"] == []


def test_an_open_turn_is_a_warning(folder: Path) -> None:
    from headrace.store import TurnState

    with Store.open("store.db", folder).closing() as store:
        store.turns.begin(TurnState("turn_1", {}, NOW))
    assert found(folder, "turn").cure.endswith("headrace turn")


def test_history_from_the_future_is_a_warning(folder: Path) -> None:
    with Store.open("store.db", folder).closing() as store:
        store.history.add(Event("e", "turn", None, None, "", {}, datetime(2027, 1, 1, tzinfo=UTC)))
    assert found(folder, "history").state == "warn"


def test_a_port_in_use_and_a_base_that_is_not_there_are_found(folder: Path) -> None:
    text = (folder / "headrace.yaml").read_text(encoding="utf-8")
    port = int(text.rpartition("port: ")[2].split("}")[0])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert found(folder, "port").state == "warn"
    assert found(folder, "port").state == "ok"
    base = text.split("base: ")[1].split("}")[0]
    (folder / "headrace.yaml").write_text(text.replace(base, "all-MiniLM-L7-v2"), encoding="utf-8")
    assert found(folder, "base").state == "fail"
    assert "all-MiniLM-L6-v2" in found(folder, "base").cure


@pytest.mark.parametrize(("sound", "code"), [(True, 0), (False, 1)])
def test_the_verb_gives_json_and_fails_where_something_is_broken(
    folder: Path, capsys: pytest.CaptureFixture[str], sound: bool, code: int
) -> None:
    if not sound:
        (folder / "store.db").unlink()
    with pytest.raises(SystemExit) as ended:
        app(["doctor", "--json", "--project", str(folder)])
    assert ended.value.code == code
    findings = json.loads(capsys.readouterr().out)
    assert {"subject", "state", "found", "cure"} == set(findings[0])
