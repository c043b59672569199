"""Every status of the API: when it comes, what its document says, and what it leaves in the store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from web_stand import LABELS, Got, Stand, release, scored, standing

from headrace.errors import ArtifactError, StoreFull
from headrace.records import Feedback
from headrace.store import Store
from headrace.web.api.problems import KINDS
from headrace.web.api.schemas import LONGEST, MOST, ProblemBody


@pytest.fixture
def stand(sqlite_store: Store) -> Iterator[Stand]:
    with standing(sqlite_store) as made:
        yield made


@pytest.fixture
def both(store: Store) -> Iterator[Stand]:
    """A stand over either database."""
    with standing(store) as made:
        yield made


def expect_problem(got: Got, status: int, name: str) -> dict[str, Any]:
    assert got.status == status
    assert got.headers["content-type"] == "application/problem+json"
    ProblemBody.model_validate(got.json)
    assert set(got.json) <= {"type", "title", "status", "detail", "instance", "field", "errors"}
    assert got.json["type"] == f"/docs#{name}"
    assert (got.json["status"], got.json["title"]) == (KINDS[name].status, KINDS[name].title)
    found: dict[str, Any] = got.json
    return found


def test_an_answer_has_its_shape_and_is_in_the_store_as_it_was_sent(both: Stand) -> None:
    got = both.ask("when do you open?")
    assert got.status == 200
    (answer,) = got.json["answers"]
    said = scored("when do you open?")
    assert answer["label"] == said.label
    assert answer["confidence"] == said.scores[said.label]
    assert len(answer["scores"]) == 5
    assert list(answer["scores"].values()) == sorted(answer["scores"].values(), reverse=True)
    assert (answer["release"], answer["adapter"], answer["because"]) == ("rel_1", "adp_1", None)
    stored = both.store.answers.get(answer["id"], channel="shop")
    assert (stored.text, stored.label, stored.task) == ("when do you open?", said.label, "intent")
    assert both.store.usage.asked("shop", "2026-03-01") == 1


def test_several_texts_are_answered_in_order(stand: Stand) -> None:
    texts = [f"question {n}" for n in range(MOST)]
    got = stand.post("/v1/predict", {"texts": texts})
    assert [answer["label"] for answer in got.json["answers"]] == [scored(text).label for text in texts]
    assert stand.store.usage.asked("shop", "2026-03-01") == MOST


def test_a_correction_counts_at_once_is_stored_and_names_itself(both: Stand) -> None:
    (first,) = both.ask().json["answers"]
    label = next(label for label in LABELS if label != first["label"])
    said = both.post("/v1/feedback", {"answer": first["id"], "verdict": "correction", "label": label})
    assert said.status == 200
    assert said.json["counted"] is True
    (stored,) = both.store.feedback.list()
    assert (stored.id, stored.label, stored.answer) == (said.json["id"], label, first["id"])
    (second,) = both.ask().json["answers"]
    assert (second["label"], second["because"]) == (label, stored.id)
    assert both.store.answers.get(second["id"]).because == stored.id
    (other,) = both.ask(channel="forum", task="intent").json["answers"]
    assert (other["label"], other["because"]) == (first["label"], None)


@pytest.mark.parametrize("verdict", ["right", "wrong"])
def test_a_verdict_is_stored_and_changes_no_answer(stand: Stand, verdict: str) -> None:
    (first,) = stand.ask().json["answers"]
    assert stand.post("/v1/feedback", {"answer": first["id"], "verdict": verdict}).status == 200
    assert [f.verdict for f in stand.store.feedback.list()] == [verdict]
    assert stand.ask().json["answers"][0]["because"] is None


def test_private_details_reach_the_model_and_not_the_store(stand: Stand) -> None:
    """OWASP LLM02."""
    text = "mail me at ann@example.com please"
    (answer,) = stand.ask(text).json["answers"]
    assert stand.batcher.asked[0].text == text
    assert stand.store.answers.get(answer["id"]).text == "mail me at <email> please"
    said = {"answer": answer["id"], "verdict": "correction", "label": "refund", "person": "ann@example.com"}
    assert stand.post("/v1/feedback", said).status == 200
    (stored,) = stand.store.feedback.list()
    assert "ann" not in f"{stored.text} {stored.person}"
    assert stored.person is not None
    assert stand.ask(text).json["answers"][0]["label"] == "refund"


@pytest.mark.parametrize(
    "header", [None, "", "Basic YTpi", "Bearer", "Bearer hr_live_short", "Bearer hr_live_" + "0" * 49]
)
def test_401_without_a_key_that_opens(stand: Stand, header: str | None) -> None:
    headers = {"content-type": "application/json"} | ({} if header is None else {"authorization": header})
    got = stand.wait(stand.send("POST", "/v1/predict", {"text": "a"}, headers))
    said = expect_problem(got, 401, "unauthorized")
    assert got.headers["www-authenticate"] == "Bearer"
    assert "headrace key new" in said["detail"]


def test_401_of_a_revoked_key_and_of_a_channel_that_left_the_recipe(stand: Stand) -> None:
    from headrace.channels.keys import new_key

    (key,) = stand.store.keys.list("shop")
    stand.store.keys.revoke(key.id, stand.now)
    expect_problem(stand.ask(), 401, "unauthorized")
    stand.keys["gone"] = new_key(stand.store.keys, "gone")[1]
    expect_problem(stand.ask(channel="gone"), 401, "unauthorized")


def test_404_of_a_path_and_405_of_a_method(stand: Stand) -> None:
    expect_problem(stand.get("/v1/nothing"), 404, "not-found")
    expect_problem(stand.get("/v1/predict/"), 404, "not-found")
    got = stand.get("/v1/predict")
    expect_problem(got, 405, "method")
    assert got.headers["allow"] == "POST"


def test_413_by_what_is_declared_by_what_comes_and_by_the_number_of_pieces(sqlite_store: Store) -> None:
    """Triton CVE-2025-23310: many tiny chunks."""
    with standing(sqlite_store, body=10_000) as stand:
        headers = stand.headers()
        declared = stand.send("POST", "/v1/predict", b"{}", headers | {"content-length": "10001"})
        expect_problem(stand.wait(declared), 413, "too-large")
        huge = stand.send("POST", "/v1/predict", b"{}", headers | {"content-length": "9" * 5000})
        expect_problem(stand.wait(huge), 413, "too-large")
        lying = headers | {"content-length": "2"}
        coming = stand.send("POST", "/v1/predict", b"", lying, pieces=[b" " * 5000] * 3)
        expect_problem(stand.wait(coming), 413, "too-large")
        tiny = stand.send("POST", "/v1/predict", b"", headers, pieces=[b" "] * 2000)
        got = stand.wait(tiny)
        expect_problem(got, 413, "too-large")
        assert got.headers["connection"] == "close"
        assert stand.batcher.asked == []


@pytest.mark.parametrize(
    "more",
    [
        {"content-type": "text/plain"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=gb18030"},
        {"content-encoding": "gzip"},
    ],
)
def test_415_of_anything_but_plain_json(stand: Stand, more: dict[str, str]) -> None:
    expect_problem(stand.post("/v1/predict", {"text": "a"}, headers=more), 415, "media-type")


def test_a_charset_of_utf_8_is_fine(stand: Stand) -> None:
    more = {"content-type": 'Application/JSON; charset="UTF-8"'}
    assert stand.post("/v1/predict", {"text": "a"}, headers=more).status == 200


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"text": "caf\xe9"}', "byte 13"),
        (b'{"text": "a"', "line 1, column 13"),
        (b'{"text":\n"a",}', "line 2, column 4"),
        (b"", "line 1, column 1"),
        (b"[" * 5000, "line 1"),
        (b'{"text": "\\ud800"}', "line 1, column 11"),
        (b'{"text": NaN}', "line 1"),
    ],
)
def test_400_says_where_a_body_breaks(stand: Stand, body: bytes, where: str) -> None:
    assert where in expect_problem(stand.post("/v1/predict", body), 400, "bad-body")["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ([], "body"),
        ("text", "body"),
        ({"text": "a", "texts": ["b"]}, "body"),
        ({"text": 3}, "text"),
        ({"text": None}, "body"),
        ({"text": " \n"}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"text": "a" * (LONGEST + 1)}, "text"),
        ({"texts": []}, "texts"),
        ({"texts": ["a"] * (MOST + 1)}, "texts"),
        ({"texts": ["a", "", "c"]}, "texts[1]"),
        ({"texts": "abc"}, "texts"),
        ({"text": "a", "tsak": "intent"}, "tsak"),
        ({"text": "a", "task": "mood"}, "task"),
        ({"text": "a", "task": ""}, "task"),
    ],
)
def test_422_names_the_field(stand: Stand, body: object, field: str) -> None:
    said = expect_problem(stand.post("/v1/predict", body), 422, "invalid")
    assert said["field"] == field
    assert said["errors"][0]["field"] == field
    assert "pydantic" not in json.dumps(said)


def test_422_names_the_nearest_field_and_all_mistakes(stand: Stand) -> None:
    said = expect_problem(stand.post("/v1/predict", {"texst": "a", "task": 4}), 422, "invalid")
    assert {mistake["field"] for mistake in said["errors"]} == {"texst", "task"}
    assert "'text" in json.dumps(said["errors"])


def test_422_where_a_channel_has_several_tasks_and_none_is_named(stand: Stand) -> None:
    said = expect_problem(stand.ask(channel="forum"), 422, "invalid")
    assert said["field"] == "task"
    assert "intent, mood" in said["detail"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"verdict": "correction"}, "label"),
        ({"verdict": "correction", "label": "refnud"}, "label"),
        ({"verdict": "right", "label": "refund"}, "label"),
        ({"verdict": "maybe"}, "verdict"),
        ({}, "verdict"),
        ({"verdict": "wrong", "person": "x" * 65}, "person"),
        ({"verdict": "wrong", "answer": 3}, "answer"),
    ],
)
def test_422_of_feedback_names_the_field_and_nothing_is_stored(
    stand: Stand, more: dict[str, object], field: str
) -> None:
    (answer,) = stand.ask().json["answers"]
    said = expect_problem(stand.post("/v1/feedback", {"answer": answer["id"]} | more), 422, "invalid")
    assert said["field"] == field
    assert stand.store.feedback.list() == []
    if more.get("label") == "refnud":
        assert "'refund'" in said["detail"]


def test_429_with_the_seconds_to_midnight_and_the_next_day_is_a_new_one(stand: Stand) -> None:
    assert [stand.ask(channel="partner").status for _ in range(5)] == [200] * 5
    got = stand.ask(channel="partner")
    expect_problem(got, 429, "quota")
    assert got.headers["retry-after"] == "43200"
    assert stand.store.usage.asked("partner", "2026-03-01") == 5
    stand.now += timedelta(hours=12)
    assert stand.ask(channel="partner").status == 200


def test_a_request_that_fails_takes_nothing_from_the_quota(stand: Stand) -> None:
    for setting in ("full", "broken"):
        setattr(stand.batcher, setting, True)
        assert stand.ask(channel="partner").status in (500, 503)
        setattr(stand.batcher, setting, False)
    assert stand.post("/v1/predict", {"texts": ["a"] * 5}, "partner").status == 200
    assert stand.ask(channel="partner").status == 429


def test_a_restart_gives_no_quota_back(sqlite_store: Store) -> None:
    with standing(sqlite_store) as first:
        assert [first.ask(channel="partner").status for _ in range(4)] == [200] * 4
    with standing(sqlite_store) as second:
        assert [second.ask(channel="partner").status for _ in range(2)] == [200, 429]


def test_503_with_retry_after_where_the_queue_is_full(stand: Stand) -> None:
    stand.batcher.full = True
    got = stand.ask()
    expect_problem(got, 503, "full")
    assert got.headers["retry-after"] == "2"


def test_503_where_an_answer_takes_too_long(sqlite_store: Store) -> None:
    with standing(sqlite_store, seconds=0.05) as stand:
        stand.batcher.held = True
        expect_problem(stand.ask(), 503, "full")


def test_503_where_nothing_is_served_yet(stand: Stand) -> None:
    stand.batcher.missing.add(("intent", "shop"))
    got = stand.ask()
    expect_problem(got, 503, "not-served")
    assert int(got.headers["retry-after"]) > 0
    stand.ready = False
    assert stand.get("/readyz").status == 503
    assert stand.get("/healthz").status == 200


def test_503_where_the_store_is_full_and_no_answer_is_given(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> None:
        raise StoreFull("no space is left for the store.", where="sqlite:////srv/secret/store.db")

    monkeypatch.setattr(stand.store.answers, "add_in", full)
    got = stand.ask(channel="partner")
    said = expect_problem(got, 503, "store")
    assert "secret" not in json.dumps(said)
    assert int(got.headers["retry-after"]) > 0
    assert stand.store.answers.counts() == {}
    monkeypatch.undo()
    assert [stand.ask(channel="partner").status for _ in range(5)] == [200] * 5


def test_one_entry_that_the_database_refuses_does_not_take_the_others_with_it(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_in = stand.store.answers.add_in

    def refusing(connection: Any, answers: Any) -> None:
        if any(answer.text == "poison" for answer in answers):
            raise ValueError("refused")
        add_in(connection, answers)

    monkeypatch.setattr(stand.store.answers, "add_in", refusing)
    texts = ["a", "b", "poison", "c"]
    asks = [stand.send("POST", "/v1/predict", {"text": text}, stand.headers()) for text in texts]
    got = stand.wait(_together(asks))
    assert [g.status for g in got] == [200, 200, 500, 200]
    assert stand.store.answers.counts() == {("intent", "shop"): 3}


async def _together(coroutines: list[Any]) -> list[Got]:
    import asyncio

    return list(await asyncio.gather(*coroutines))


def test_500_tells_nothing_inner_and_is_logged_without_what_was_asked(stand: Stand) -> None:
    """OWASP LLM02; Triton CVE-2025-23319: an error message that named an internal region."""
    stand.batcher.broken = True
    got = stand.ask("canary-4711 wants a refund")
    said = json.dumps(expect_problem(got, 500, "internal"))
    for inner in ("canary", "inner", "RuntimeError", "Traceback", "/srv"):
        assert inner not in said
    (line,) = [json.loads(line) for line in stand.log.getvalue().splitlines() if "request failed" in line]
    assert line["error"] == ["RuntimeError"]
    assert line["request"] == got.headers["request-id"]
    assert any("service.py" in place for place in line["at"])
    assert "canary" not in json.dumps(line)


def test_concurrent_answers_share_transactions(stand: Stand) -> None:
    before = stand.service.writer.commits
    asks = [stand.send("POST", "/v1/predict", {"text": f"q{n}"}, stand.headers()) for n in range(200)]
    got = stand.wait(_together(asks))
    assert {g.status for g in got} == {200}
    assert stand.store.answers.counts() == {("intent", "shop"): 200}
    assert stand.service.writer.commits - before < 200


def test_every_route_sends_the_headers(stand: Stand) -> None:
    paths = [route.path for route in stand.app.routes if hasattr(route, "path")]
    for got in [stand.get(path) for path in [*paths, "/nothing"]] + [stand.ask(), stand.ask(channel="forum")]:
        policy = got.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["request-id"].startswith("req_")
        assert "server" not in got.headers


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_docs_page_fetches_nothing_and_has_a_place_for_every_problem(stand: Stand) -> None:
    got = stand.get("/docs")
    html = got.body.decode()
    tags = _Tags()
    tags.feed(html)
    names = {tag for tag, _ in tags.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    for _, attributes in tags.tags:
        assert not any(name.startswith("on") or name in ("src", "style") for name in attributes)
        assert (attributes.get("href") or "/").startswith(("/", "#"))
    assert "@import" not in html
    assert "url(" not in html
    assert {a["id"] for _, a in tags.tags if "id" in a} == set(KINDS)
    for path in stand.get("/openapi.json").json["paths"]:
        assert path in html
    assert re.search(r"style-src 'sha256-[A-Za-z0-9+/]{43}='", got.headers["content-security-policy"])


def test_every_status_that_came_is_in_the_openapi_document(stand: Stand) -> None:
    paths = stand.get("/openapi.json").json["paths"]
    for path in ("/v1/predict", "/v1/feedback"):
        operation = paths[path]["post"]
        assert {"200", "400", "401", "404", "409", "413", "415", "422", "429", "500", "503"} <= set(
            operation["responses"]
        )
        assert list(operation["responses"]["422"]["content"]) == ["application/problem+json"]
        assert operation["security"] == [{"key": []}]
        assert any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"])
        assert operation["requestBody"]["content"]["application/json"]["schema"]["properties"]


def test_metrics_count_by_route_and_status_and_name_no_channel(stand: Stand) -> None:
    stand.ask()
    stand.ask("")
    stand.get("/some/path")
    text = stand.get("/metrics").body.decode()
    assert 'headrace_requests_total{route="/v1/predict",status="200"} 1.0' in text
    assert 'headrace_requests_total{route="/v1/predict",status="422"} 1.0' in text
    assert 'headrace_requests_total{route="unmatched",status="404"} 1.0' in text
    assert "shop" not in text
    assert "/some" not in text


def test_a_new_release_is_noticed_and_feedback_of_others_learned(stand: Stand) -> None:
    reloads = stand.reloads
    release(stand.store)
    (answer,) = stand.ask().json["answers"]
    _wait_for(lambda: stand.reloads > reloads)
    stored = stand.store.answers.get(answer["id"])

    said = Feedback("fb_cli", stored.id, "shop", "intent", stored.text, "correction", "refund", stand.now)
    stand.store.feedback.add(said)
    _wait_for(lambda: ("intent", "shop", stored.text) in stand.memory.known)
    assert stand.ask().json["answers"][0]["because"] == "fb_cli"


def _wait_for(happened: Any) -> None:
    import time

    for _ in range(500):
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_corrections_are_learned_again_after_a_release_and_not_otherwise(stand: Stand) -> None:
    """A release may give the same text another embedding."""
    answers = [stand.ask(f"q{n}").json["answers"][0]["id"] for n in range(100)]
    for answer in answers:
        stand.now += timedelta(seconds=2)  # a hundred at once would be a burst
        said = {"answer": answer, "verdict": "correction", "label": "refund"}
        assert stand.post("/v1/feedback", said).status == 200
    for _ in range(5):
        stand.service._watch.look()
    ids = [feedback.id for feedback in stand.store.feedback.list()]
    assert sorted(set(stand.memory.learned)) == sorted(ids)
    assert stand.memory.learned.count(ids[0]) <= 2, "by the request, and by a look at the same moment"
    stand.memory.learned.clear()
    release(stand.store)
    _wait_for(lambda: set(stand.memory.learned) == set(ids))


def test_a_release_that_cannot_be_loaded_keeps_nothing_else_from_going_on(stand: Stand) -> None:
    answer = stand.ask("q").json["answers"][0]["id"]

    def damaged() -> None:
        stand.reloads += 1
        raise ArtifactError("graph.onnx is damaged.")

    stand.service._watch._reload = damaged
    before = stand.reloads
    release(stand.store)
    _wait_for(lambda: stand.reloads > before)
    stored = stand.store.answers.get(answer, channel="shop")
    stand.store.feedback.add(
        Feedback("fb_cli", answer, "shop", "intent", stored.text, "correction", "refund", stand.now)
    )
    _wait_for(lambda: "fb_cli" in stand.memory.learned)
    assert stand.reloads == before + 1, "it is tried again later, not at every look"
    assert "reload failed" in stand.log.getvalue()


def test_corrections_are_learned_before_the_first_answer_of_a_new_server(sqlite_store: Store) -> None:
    with standing(sqlite_store) as first:
        ids = [first.ask(f"q{n}").json["answers"][0]["id"] for n in range(70)]
        for answer in ids:
            first.now += timedelta(seconds=2)
            said = {"answer": answer, "verdict": "correction", "label": "refund"}
            assert first.post("/v1/feedback", said).status == 200
    with standing(sqlite_store) as second:
        answers = second.post("/v1/predict", {"texts": [f"q{n}" for n in range(64)]}).json["answers"]
        assert {answer["label"] for answer in answers} == {"refund"}


def test_a_correction_waits_for_the_first_release_and_for_room_in_the_queue(sqlite_store: Store) -> None:
    with standing(sqlite_store) as stand:
        (answer,) = stand.ask().json["answers"]
        stand.batcher.full = True
        said = {"answer": answer["id"], "verdict": "correction", "label": "refund"}
        assert stand.post("/v1/feedback", said).status == 200
        assert len(stand.store.feedback.list()) == 1
        stand.batcher.full = False
        _wait_for(lambda: stand.memory.known)
        assert stand.ask().json["answers"][0]["label"] == "refund"
