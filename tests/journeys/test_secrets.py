"""OWASP LLM02: what people let slip is in no file that a project writes, no page, no log and no error.

Each place where a text comes in gets canaries of its own: an e-mail address, phones, a card, a Chinese
identity number, a key of Headrace and one of a cloud. After a whole journey every file is searched for them.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_project import INTENTS, live_questions, make_project

from headrace.channels.keys import new_key
from headrace.cli import pages
from headrace.errors import HeadraceError
from headrace.project import Project
from headrace.records import Key
from headrace.web.assembly import assembled
from headrace.web.server import background

pytestmark = pytest.mark.xdist_group("secrets")
PLACES = (
    "row", "broken line", "label", "split", "long row", "empty label", "added", "restored", "asked", "person",
    "wire", "wire person", "wire mistake", "wrong key", "task", "source", "channel",
)  # fmt: skip


class Nowhere:
    """A store of keys that keeps none."""

    def add(self, key: Key) -> None:
        """Keep nothing."""

    def by_digest(self, digest: str) -> Key | None:
        """Find nothing."""
        return None


def canaries(place: str) -> dict[str, str]:
    """One private detail of each kind, like those of no other place."""
    number = PLACES.index(place)
    return {
        "email": f"zoe{number:02}.canary@example.org",
        "phone": f"+1 212 736 50{number:02}",
        "mobile": f"139123456{number:02}",
        "card": luhn(f"41111111111{number:04}"),
        "identity": gb_11643(f"110105194912{10 + number % 20:02}{number:03}"),
        "key": new_key(Nowhere(), "x", random_bytes=lambda n: bytes([number + 1]) * n)[1],
        "cloud key": f"AKIAIOSFODNN7EXAM{'ABCDEFGHIJKLMNOPQRST'[number]}LE",
    }


def luhn(digits: str) -> str:
    """A card number with its check digit (ISO/IEC 7812)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def gb_11643(digits: str) -> str:
    """A Chinese identity number with its check character."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 11]


def text(place: str) -> str:
    """A question that lets everything slip."""
    c = canaries(place)
    return (
        f"please undo it for {place}, mail {c['email']} or call {c['phone']} or {c['mobile']}, card {c['card']}, "
        f"身份证 {c['identity']}, key {c['key']} and {c['cloud key']}"
    )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = make_project(tmp_path / "p", ready=False)
    _spoil(made.folder / "data" / "desk.jsonl")
    yield made
    made.close()


def _spoil(path: Path) -> None:
    rows = [
        {"text": text("row"), "label": "rollback", "split": "train"},
        {"text": "a label that is none", "label": canaries("label")["email"], "split": "train"},
        {"text": "a split that is none", "label": "rollback", "split": text("split")},
        {"text": text("long row") + " again" * 1000, "label": "rollback", "split": "train"},
        {"text": text("empty label"), "label": "", "split": ""},
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    broken = '{"text": "' + text("broken line")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n".join([*lines, broken]) + "\n")


def test_no_private_detail_is_kept_shown_or_logged(
    project: Project, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    shown = [*_learn(project), *_ask(project), *_serve(project), *_mistakes(project), *_tell(project)]
    out = capfd.readouterr()
    places: dict[str, bytes] = {
        str(path.relative_to(project.folder)): path.read_bytes()
        for path in project.folder.rglob("*")
        if path.is_file() and path.parent.name != "data"
    }
    assert {"store.db", "store.db-wal", "backup.tar", "report.html"} <= set(places)
    assert any(name.startswith(".cache/") for name in places)
    places |= {"logs": (out.out + out.err + caplog.text).encode(), "shown": "\n".join(shown).encode()}
    assert "reloaded" in out.err, "the server's log was caught"
    planted = {f"{kind} of {place}": one for place in PLACES for kind, one in canaries(place).items()}
    hits = [
        (where, name)
        for where, kept in places.items()
        for name, one in planted.items()
        if one.encode() in kept
    ]
    assert hits == []
    kept = b"".join(places[name] for name in places if name.startswith("store.db"))
    for mark in (b"<email>", b"<phone>", b"<card>", b"<identity>", b"<key>"):
        assert mark in kept, "what was masked is there, masked"


def _learn(project: Project) -> Iterator[str]:
    """Collect, clean, take back, turn."""
    yield str(project.collect())
    yield str(project.add_rows([{"text": text("added"), "label": "rollback"}], channel="desk", task="intent"))
    yield str(project.clean())
    entries = project.quarantine()
    yield str(entries)
    reasons = {entry.reason for entry in entries}
    assert {"invalid JSON", "not text", "too long"} <= reasons
    broken = next(entry for entry in entries if entry.reason == "invalid JSON")
    yield str(project.restore_row(broken.id, text=text("restored"), label="rollback"))
    yield str(project.turn())


def _ask(project: Project) -> Iterator[str]:
    """Ask, correct and turn again."""
    answers = project.predict([text("asked"), live_questions()[0].text], task="intent", channel="desk")
    for answer in answers:
        person = canaries("person")["email"]
        yield str(project.add_feedback(answer.id, "correction", INTENTS[1], person=person))
    yield str(project.predict([text("asked")], task="intent", channel="desk"))
    yield str(project.turn())


def _serve(project: Project) -> Iterator[str]:
    """The same over the wire, and what goes wrong there."""
    secret = project.new_key("desk")[1]
    with assembled(project) as service, background(service) as url:
        status, said = _post(url, secret, "/v1/predict", {"text": text("wire")})
        assert status == 200
        yield json.dumps(said)
        given = {"answer": said["answers"][0]["id"], "verdict": "correction", "label": INTENTS[2]}
        person = canaries("wire person")["mobile"]
        status, said = _post(url, secret, "/v1/feedback", {**given, "person": person})
        assert status == 200
        yield json.dumps(said)
        mistake = text("wire mistake")
        for body in (
            {"text": mistake, "tsk": mistake},
            {"text": "a", "task": mistake[:60]},
            {"text": [mistake]},
        ):
            status, said = _post(url, secret, "/v1/predict", body)
            assert status == 422
            yield json.dumps(said)
        status, said = _post(url, canaries("wrong key")["key"], "/v1/predict", {"text": text("wrong key")})
        assert status == 401
        yield json.dumps(said)


def _post(url: str, key: str, path: str, body: Mapping[str, object]) -> tuple[int, Any]:
    head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    asked = urllib.request.Request(url + path, json.dumps(body).encode(), head)
    try:
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _mistakes(project: Project) -> Iterator[str]:
    """A key in the wrong place, in every name that an error may repeat."""
    acts = (
        lambda: project.train(canaries("task")["key"]),
        lambda: project.collect([canaries("source")["key"]]),
        lambda: project.add_channel(canaries("channel")["key"], ["intent"]),
        lambda: project.evaluate(canaries("channel")["key"]),
        lambda: project.restore_row(canaries("channel")["key"]),
        lambda: project.rollback("intent", "desk", to=canaries("channel")["key"]),
        lambda: project.revoke_key(canaries("channel")["key"]),
    )
    for act in acts:
        with pytest.raises(HeadraceError, match="A key of Headrace stood there") as failed:
            act()
        yield str(failed.value)


def _tell(project: Project) -> Iterator[str]:
    """Everything that looks at a project, and what it leaves as files."""
    yield str(project.status())
    yield str(project.history())
    yield str(project.feedback())
    began = project.clock()
    turn = project.turn()
    page = pages.turn(turn, project.status(), began, project.clock())
    page += pages.evaluation(project.evaluate(project.store.history.serving()[0].adapter), began)
    (project.folder / "report.html").write_text(page, encoding="utf-8")
    project.backup(project.folder / "backup.tar")
