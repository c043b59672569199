"""A challenger on trial in a running server: both answers stored, canary users, a win, and the way back."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from small_project import INTENTS, WORDS, live_questions, make_project

from headrace.feedback.record import pseudonym
from headrace.project import Project
from headrace.records import Adapter, Answer, Shadow, Trial
from headrace.serving.trials import OpenTrial
from headrace.web.assembly import assembled
from headrace.web.server import background

RELEASE = "release: {way: proved, audits: 1.0, canary: 0.5, watch: 1.0, patience: 200, false_alarm: 100}\n"
TRUTH = {question.text: question.label for question in live_questions()}


class Client:
    """One connection with a key."""

    def __init__(self, url: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, text: str, **more: str) -> Any:
        self._connection.request("POST", "/v1/predict", json.dumps({"text": text} | more), self._headers)
        got = self._connection.getresponse()
        body = json.loads(got.read())
        assert got.status == 200, body
        return body["answers"][0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Adapter, Adapter]:
    """A project folder in which a poor adapter serves, and a good one that was never released."""
    folder = tmp_path_factory.mktemp("trials") / "p"
    project = make_project(folder)
    recipe = folder / "headrace.yaml"
    recipe.write_text(recipe.read_text() + RELEASE)
    project = Project(folder)
    examples = project.store.examples.of("intent", ["desk", "forum"], ["train", "validation"])
    # Words of one intent are read as another's: right on half of all questions.
    swapped = {INTENTS[0]: INTENTS[1], INTENTS[1]: INTENTS[0]}
    wrong = [replace(example, label=swapped.get(example.label, example.label)) for example in examples]
    poor, good = project.train("intent", examples=wrong), project.train("intent")
    assert {pair.released for pair in project.release(poor)} == {True}
    assert {pair.released for pair in project.release(good)} == {False}  # both channels are on trial now
    project.close()
    return folder, poor, good


def on_trial(project: Project, challenger: Adapter, channel: str = "forum") -> Trial:
    """The trial of a channel, begun where there is none."""
    if not project.trials(task="intent", channel=channel):
        project.prover.begin("intent", channel, challenger.id, {})
    return project.trials(task="intent", channel=channel)[0].trial


def stored(project: Project, answer: str) -> tuple[Answer, Shadow | None]:
    return project.store.answers.get(answer), project.store.shadows.get(answer)


def wait_for(happened: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_challenger_walks_through_a_running_server(trained: tuple[Path, Adapter, Adapter]) -> None:
    folder, poor, good = trained
    project = Project(folder)
    _, key = project.new_key("desk")
    shadow = on_trial(project, good, "desk")
    assert (shadow.stage, shadow.champion, shadow.challenger) == ("shadow", poor.id, good.id)
    questions = list(TRUTH)
    with assembled(project) as service, background(service) as url:
        client = Client(url, key)
        for number in range(24):
            got = client.ask(questions[number % len(questions)], person=f"user {number % 12}")
            sent, beside = stored(project, got["id"])
            assert beside is not None
            assert (sent.adapter, beside.adapter, beside.trial) == (poor.id, good.id, shadow.id)
            assert beside.differs == (sent.label != beside.label)
            assert sent.person == pseudonym(f"user {number % 12}", project.store.salts.persons(project.ids))
        audit_all(project)
        wait_for(lambda: project.trial(shadow.id).trial.stage == "canary")
        canary = OpenTrial.of(project.trial(shadow.id).trial)
        wait_for(lambda: _canary_begun(client, canary, questions))
        for number in range(24):
            got = client.ask(questions[number % len(questions)], person=f"user {number % 12}")
            sent, beside = stored(project, got["id"])
            assert beside is not None
            chosen = canary.sends_challenger(str(sent.person))
            assert sent.adapter == (good.id if chosen else poor.id)
            assert (got["release"] == canary.id) == chosen
        _win_under_load(project, client, good.id)
        # The last adapter answers beside the new one, and the way back is open.
        wait_for(lambda: stored(project, client.ask(questions[0])["id"])[1] is not None)
        got = client.ask(questions[1])
        sent, beside = stored(project, got["id"])
        assert beside is not None
        assert (sent.adapter, beside.adapter) == (good.id, poor.id)
        project.rollback("intent", "desk")
        wait_for(lambda: client.ask(questions[1])["adapter"] == poor.id)
        assert project.trials(task="intent", channel="desk") == []
    project.close()


def audit_all(project: Project) -> list[str]:
    """Judge all that was drawn as the truth is."""
    waiting = project.audits(channel="desk")
    return [line for answer, _ in waiting for line in project.audit(answer.id, meant(answer.text))]


def meant(text: str) -> str:
    """What a question is about, a number at its end left aside."""
    return TRUTH.get(text) or TRUTH[text.rsplit(" ", 1)[0]]


def _canary_begun(client: Client, canary: OpenTrial, questions: list[str]) -> bool:
    return any(client.ask(text)["release"] == canary.id for text in questions[:6])


def _win_under_load(project: Project, client: Client, winner: str) -> None:
    """Until the challenger serves somebody asks without a pause; nothing fails and no answer is a mixture."""
    stop, failed = threading.Event(), list[BaseException]()
    heard: list[Any] = []

    def asking() -> None:
        try:
            while not stop.is_set():
                # Numbered: the same question again would be no further evidence.
                text = f"{list(TRUTH)[len(heard) % len(TRUTH)]} {len(heard)}"
                heard.append(client.ask(text, person=f"load {len(heard) % 7}"))
        except BaseException as error:
            failed.append(error)

    asks = threading.Thread(target=asking)
    asks.start()
    try:
        wait_for(lambda: bool(audit_all(project)) and _serves(project) == winner)
        release = project.store.history.releases("intent", "desk")[0]
        wait_for(lambda: heard[-1]["release"] == release.id)
        at = len(heard)
        wait_for(lambda: len(heard) > at + 20)
    finally:
        stop.set()
        asks.join()
    assert failed == []
    assert (release.evidence["way"], release.adapter) == ("proved", winner)
    assert {(one["release"], one["adapter"]) for one in heard[at:]} == {(release.id, winner)}


def _serves(project: Project) -> str:
    return {r.channel: r.adapter for r in project.store.history.serving()}["desk"]


def test_predict_in_process_is_covered_like_the_server(trained: tuple[Path, Adapter, Adapter]) -> None:
    folder, _, good = trained
    project = Project(folder)
    trial = on_trial(project, good)
    (answer,) = project.predict(["undo it pls"], task="intent", channel="forum", person="me")
    sent, beside = stored(project, answer.id)
    assert beside is not None
    assert (beside.trial, beside.adapter, sent.adapter) == (trial.id, good.id, trial.champion)
    assert sent.person == pseudonym("me", project.store.salts.persons(project.ids))
    wrong = next(label for label in WORDS if label not in (answer.label, beside.label))
    project.add_feedback(answer.id, "correction", wrong)
    (again,) = project.predict(["undo it pls"], task="intent", channel="forum", person="me")
    _, agrees = stored(project, again.id)
    assert agrees is not None
    assert again.label == agrees.label == wrong
    assert not agrees.differs
    project.close()


def test_a_damaged_challenger_leaves_the_champion_alone(trained: tuple[Path, Adapter, Adapter]) -> None:
    folder, poor, good = trained
    project = Project(folder)
    trial = on_trial(project, good)
    head = project.store.artifacts.path(good.files["head.safetensors"])
    whole = head.read_bytes()
    head.chmod(0o644)
    head.write_bytes(b"damaged")
    try:
        (answer,) = project.predict(["undo it pls"], task="intent", channel="forum")
    finally:
        head.write_bytes(whole)
    assert answer.adapter == poor.id
    ended = project.store.trials.get(trial.id)
    assert ended.outcome == "broken"
    assert "damaged" in str(ended.evidence["reason"])
    project.close()


def test_a_turn_puts_what_passes_the_gate_on_trial_and_brings_a_loser_no_second_time(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    recipe = tmp_path / "p" / "headrace.yaml"
    recipe.write_text(recipe.read_text() + RELEASE)
    project = Project(tmp_path / "p")
    assert {pair.released for pair in project.turn().pairs} == {True}
    assert {release.evidence["way"] for release in project.store.history.serving()} == {"offline"}
    rows = [
        {"text": f"please {words[0]} number {n}", "label": label}
        for n, (label, words) in enumerate(WORDS.items())
    ]
    project.add_rows(rows, channel="desk", task="intent")
    found = project.turn().pairs
    assert {pair.released for pair in found} == {False}
    assert all(pair.message.startswith("On trial: ") for pair in found)
    trials = project.trials()
    assert {(one.trial.channel, one.trial.stage, one.trial.number) for one in trials} == {
        ("desk", "shadow", 1),
        ("forum", "shadow", 1),
    }
    again = project.turn().pairs
    assert all(pair.message.startswith("On trial: Shadow: of 0 rows") for pair in again)
    for one in trials:
        project.stop_trial(one.trial.id, "seen enough")
    last = project.turn().pairs
    assert {pair.message for pair in last} == {"Not released: Stopped by hand: seen enough"}
    assert project.trials() == []
    kinds = [line.message for line in project.history(task="intent", channel="desk") if line.kind == "trial"]
    assert [said.split(":")[0] for said in kinds] == ["On trial", "Stopped by hand"]
    project.close()
