"""What a server stores of a question that a trial covers, and of who asked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import orjson
import pytest
from sqlalchemy import func, select
from web_stand import NOON, PretendBatcher, Stand, scored, standing

from headrace.errors import StoreFull
from headrace.feedback.record import pseudonym
from headrace.serving.engine import Ask, Beside, Scored
from headrace.serving.trials import OpenTrial
from headrace.store import Store, tables
from headrace.web.server import background


class OnTrial(PretendBatcher):
    """A pretended engine in which a challenger says "refund" to everything; `sends` lets it be sent."""

    trial = OpenTrial("trl_1", "intent", "shop", "adp_1", "adp_2", "shadow", "salt", 0.0, 1.0, 0.5)
    sends = False

    def _answer(self, ask: Ask, future: Future[Scored]) -> None:
        champion = scored(ask.text)
        challenger = Scored(
            ("price", "refund"), np.array([0.25, 0.75], np.float32), "trl_1", "adp_2", np.zeros(4, np.float32)
        )
        sent, other = (challenger, champion) if self.sends else (champion, challenger)
        future.set_result(replace(sent, beside=Beside(self.trial, other)))


@pytest.fixture
def stand(sqlite_store: Store) -> Iterator[Stand]:
    with standing(sqlite_store, batcher=OnTrial()) as made:
        yield made


def test_both_answers_are_stored_and_one_is_sent(stand: Stand) -> None:
    (sent,) = stand.ask("when do you open?").json["answers"]
    shadow = stand.store.shadows.get(sent["id"])
    assert shadow is not None
    assert (sent["adapter"], sent["release"]) == ("adp_1", "rel_1")
    assert (shadow.adapter, shadow.label, shadow.confidence) == ("adp_2", "refund", 0.75)
    assert shadow.differs == (sent["label"] != "refund")
    assert (shadow.trial, shadow.rate, shadow.at) == ("trl_1", 0.5, NOON)
    assert shadow.drawn == OnTrial.trial.draws(sent["id"])
    assert b"refund" not in orjson.dumps([sent["label"], sent["release"]])


def test_a_canarys_answer_carries_the_trials_id(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnTrial, "sends", True)
    (sent,) = stand.ask("when do you open?").json["answers"]
    shadow = stand.store.shadows.get(sent["id"])
    assert shadow is not None
    assert (sent["label"], sent["adapter"], sent["release"]) == ("refund", "adp_2", "trl_1")
    assert (shadow.adapter, shadow.label) == ("adp_1", scored("when do you open?").label)
    # A correction decides for both, and each has its own probability of it.
    said = {"answer": sent["id"], "verdict": "correction", "label": "price"}
    assert stand.post("/v1/feedback", said).status == 200
    (again,) = stand.ask("when do you open?").json["answers"]
    both = stand.store.shadows.get(again["id"])
    assert both is not None
    assert (again["label"], both.label, both.differs) == ("price", "price", False)
    assert again["confidence"] == 0.25
    assert both.confidence == pytest.approx(scored("when do you open?").chance("price"))


def test_no_answer_is_stored_or_sent_without_its_shadow(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreFull("no space is left for the store.")

    monkeypatch.setattr(stand.store.shadows, "add_in", full)
    assert stand.ask("when do you open?").status == 503
    with stand.store.database.read() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(t)).scalar()
            for t in (tables.answers, tables.shadows)
        ]
    assert counts == [0, 0]


def test_a_person_is_one_pseudonym_whichever_way_the_question_comes(
    sqlite_store: Store, tmp_path: Path
) -> None:
    text, person, stand = "when do you open?", "alice@example.org", Stand(sqlite_store, batcher=OnTrial())
    with background(stand.service) as url, httpx2.Client(base_url=url, headers=stand.headers()) as client:
        slow = {"idempotency-key": "k"}
        asked = client.post("/v1/predict", json={"text": text, "person": person}, headers=slow)
        (framework,) = asked.json()["answers"]
        (fast,) = client.post("/v1/predict", json={"text": text, "person": person}).json()["answers"]
        (other,) = client.post("/v1/predict", json={"text": text, "person": "bob"}).json()["answers"]
        (nobody,) = client.post("/v1/predict", json={"text": text}).json()["answers"]
        line = orjson.dumps({"text": text, "person": person})
        kind = {"content-type": "application/x-ndjson"}
        streamed = client.post("/v1/predict/stream", content=line, headers=kind).json()["answer"]
        wrong = client.post("/v1/predict", json={"text": text, "person": 7})
    who = [stand.store.answers.get(one["id"]).person for one in (framework, fast, streamed, other, nobody)]
    expected = pseudonym(person, stand.store.salts.persons(stand.service._ids))
    assert who[:3] == [expected] * 3
    assert who[3] not in (None, expected)
    assert who[4] is None
    assert (wrong.status_code, wrong.json()["field"]) == (422, "person")
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("store.db*"))
    assert person.encode() not in stored
