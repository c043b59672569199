"""The widget's routes over HTTP: who may call them, from where, how often; and that nobody sees another's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_stand import FAQ, PretendGuarantee, PretendWriter, put
from widget_stand import PARTNER, SHOP, Got, Served, Visitor, served

from headrace.records import Message

BEGIN = "/widget/v1/conversations"
PARTS = (
    ("POST", "messages", {"id": "message-0", "text": "a key?"}),
    ("GET", "messages", None),
    ("GET", "events", None),
    ("POST", "person", {}),
    ("POST", "feedback", {"message": "msg_x", "verdict": "right"}),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("widget") / "project") as running:
        yield running


def problem(got: Got) -> tuple[int, str, str | None]:
    """Status and kind of a problem document, and for whom its CORS headers are."""
    assert got.headers["content-type"] == "application/problem+json", got.body
    return got.status, got.json["type"].removeprefix("/docs#"), got.headers.get("access-control-allow-origin")


def test_a_visitor_asks_is_answered_with_its_source_and_reads_it_again(server: Served) -> None:
    page = server.visitor().begin("zh")
    got = page.say("密钥 在哪里", "message-1")
    assert [name for name, _ in got.events] == ["received", "message", "done"]
    assert got.headers["access-control-allow-origin"] == SHOP
    assert got.headers["content-type"] == "text/event-stream"
    said = got.event("message")
    assert (said["text"], said["author"], said["judge"]) == (FAQ["create_key"][1], "machine", True)
    assert said["sources"] == [{"title": "密钥?", "url": ""}]
    again = page.say("密钥 在哪里", "message-1")
    assert again.event("received") == got.event("received")
    assert again.event("message") == said
    history = page.send("GET", page.at("messages")).json
    assert [m["author"] for m in history["messages"]] == ["machine", "customer", "machine"]
    assert history["messages"][2] == said
    after = page.send("GET", page.at(f"messages?after={history['messages'][1]['id']}")).json
    assert after["messages"] == [said]


def test_a_correction_is_answered_at_once_and_a_web_address_is_a_link(server: Served) -> None:
    put(server.stand.project, "other", "rolling back a key", "See the page on rolling back.")
    page = server.visitor().begin()
    said = page.say("a key for rolling back").event("message")
    assert said["choices"], "what else was found is offered"
    picked = next(choice for choice in said["choices"] if choice["title"] == "rolling back a key")
    body = {"message": said["id"], "verdict": "correction", "label": picked["label"]}
    known = {one.id for one in server.stand.project.store.feedback.list()}
    got = page.send("POST", page.at("feedback"), body)
    assert [m["text"] for m in got.json["messages"]] == ["See the page on rolling back."]
    (feedback,) = (one for one in server.stand.project.store.feedback.list() if one.id not in known)
    assert server.stand.project.store.searches.list(chosen=True)[0].chosen == picked["label"]
    assert feedback.person, "a visitor's word is never the owner's"
    assert feedback.key, "and its key is known"


def test_below_the_threshold_choices_are_shown_to_be_picked_from(tmp_path: Path) -> None:
    with served(tmp_path / "p", guarantee=PretendGuarantee(alone=0.95)) as server:
        page = server.visitor().begin()
        said = page.say("a key?").event("message")
        assert (said["asks"], said["judge"], said["sources"]) == (True, False, [])
        assert said["choices"][0] == {"label": "pas_create_key_en", "title": "key?"}
        body = {"message": said["id"], "verdict": "correction", "label": said["choices"][0]["label"]}
        got = page.send("POST", page.at("feedback"), body)
        assert [m["text"] for m in got.json["messages"]] == [FAQ["create_key"][0]]


def test_a_passage_of_another_channel_is_shown_to_nobody_whatever_the_store_says(server: Served) -> None:
    store = server.stand.project.store
    put(server.stand.project, "theirs", "their secret", "The partner's own.", channel="partner")
    page = server.visitor().begin()
    where = store.conversations.get(page.conversation)
    store.conversations.say(
        Message("msg_tampered", where.id, "machine", "x", where.at, sources=("pas_theirs",), decision="alone")
    )
    got = page.send("GET", page.at("messages"))
    assert got.json["messages"][-1]["sources"] == []
    assert b"their secret" not in got.body


def test_no_body_makes_the_server_fail(server: Served) -> None:
    odd: list[object] = [None, [], "x", 3, {"": 1}, {"text": {"a": []}}, {"id": "x" * 8, "text": "\ud800"}]
    odd += [
        {"id": "message-1", "text": "\x00"},
        {"verdict": "right"},
        {"contact": "\x00"},
        {"language": "xx"},
    ]
    page = server.visitor().begin()
    for path in (BEGIN, *(page.at(part) for method, part, _ in PARTS if method == "POST")):
        for body in (*(json.dumps(one).encode() for one in odd), b"\xff", b"[" * 5000, b""):
            got = page.send("POST", path, body)
            assert got.status < 500, (path, body)


def test_what_else_would_have_been_right_goes_to_a_person(server: Served) -> None:
    page = server.visitor().begin()
    said = page.say("a key?").event("message")
    body = {"message": said["id"], "verdict": "wrong", "text": "Keys are in the drawer."}
    assert page.send("POST", page.at("feedback"), body).status == 200
    assert page.send("GET", page.at("messages")).json["waits"]
    empty = {"message": said["id"], "verdict": "correction"}
    assert problem(page.send("POST", page.at("feedback"), empty)) == (422, "invalid", SHOP)


def test_a_written_answer_comes_in_parts(tmp_path: Path) -> None:
    with served(tmp_path / "p", guarantee=PretendGuarantee(alone=0.2), writer=PretendWriter()) as server:
        put(server.stand.project, "hours", "opening hours", "We open at nine.")
        server.stand.model.down = True
        got = server.visitor().begin().say("opening hours")
        assert [name for name, _ in got.events] == ["received", "part", "message", "done"]
        assert got.event("part") == {"text": "Part 0. [1]"}


def test_a_person_is_asked_and_heard_without_asking_again(server: Served) -> None:
    page = server.visitor().begin()
    connection, _ = page.sent("GET", page.at("events"))
    heard = connection.getresponse()
    body = {"contact": "me@shop.example"}
    assert page.send("POST", page.at("person"), body).json == {"state": "waiting"}
    desk = server.stand.desk
    (waiting,) = [w for w in desk.queue("shop") if w.conversation.id == page.conversation]
    assert waiting.conversation.contact == "me@shop.example"
    threading.Timer(0.2, desk.answer, [waiting.ticket.id, "ann", "It is in the drawer."]).start()
    lines, authors = b"", []
    while "agent" not in authors:
        line = heard.readline()
        if line.startswith(b"data: "):
            authors.append(json.loads(line[6:])["author"])
    assert authors == ["machine", "machine", "agent"]
    assert not lines
    connection.close()


# -- who may call


def test_keys_of_each_kind_open_their_own_routes_alone(server: Served) -> None:
    page = server.visitor()
    body = {"text": "a key?"}
    got = page.send("POST", "/v1/predict", body)
    assert problem(got) == (401, "unauthorized", None)
    secret = Visitor(server.url, server.keys["secret"])
    assert problem(secret.send("POST", BEGIN, {})) == (401, "unauthorized", SHOP)
    for wrong in ("", "hr_pub_x", page.key[:-1] + ("a" if page.key[-1] != "a" else "b")):
        assert problem(page.send("POST", BEGIN, {}, Authorization=f"Bearer {wrong}")) == (
            401,
            "unauthorized",
            SHOP,
        )
    assert problem(page.send("POST", BEGIN, {}, Authorization=None)) == (401, "unauthorized", SHOP)
    assert problem(server.visitor("silent").send("POST", BEGIN, {})) == (404, "not-found", SHOP)


def test_a_revoked_key_opens_nothing(server: Served) -> None:
    project = server.stand.project
    key, secret = project.new_key("shop", "public")
    page = Visitor(server.url, secret).begin()
    project.revoke_key(key.id)
    end = time.monotonic() + 1.5
    while (got := page.send("GET", page.at("messages"))).status == 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert problem(got) == (401, "unauthorized", SHOP)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://elsewhere.example",
        "http://shop.example",
        "https://shop.example:444",
        "https://shop.example.evil.example",
        "https://SHOP.example",
        "https://shop.example/",
        "*",
    ],
)
def test_a_page_that_is_not_listed_is_refused_and_never_named(server: Served, origin: str | None) -> None:
    page = server.visitor(origin=origin)
    assert problem(page.send("POST", BEGIN, {})) == (403, "origin", None)
    assert problem(page.send("OPTIONS", BEGIN)) == (403, "origin", None)
    page.conversation = "cnv_1"
    for method, part, body in PARTS:
        assert problem(page.send(method, page.at(part), body)) == (403, "origin", None)


def test_a_page_of_another_channel_is_refused_and_not_named(server: Served) -> None:
    assert problem(server.visitor("shop", PARTNER).send("POST", BEGIN, {})) == (403, "origin", None)


def test_two_origins_are_none(server: Served) -> None:
    page = server.visitor()
    connection, kept = page.sent("OPTIONS", BEGIN)
    connection.close()
    connection.connect()
    connection.putrequest("POST", BEGIN)
    for name, value in [*kept.items(), ("Origin", PARTNER), ("Content-Length", "2")]:
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    assert connection.getresponse().status == 403
    connection.close()


def test_the_servers_own_page_sends_no_origin_and_is_held_to_the_list(server: Served) -> None:
    page = server.visitor().begin()
    own = {"Origin": None, "Sec_Fetch_Site": "same-origin"}
    assert problem(page.send("GET", page.at("messages"), **own)) == (403, "origin", None)
    got = page.send("GET", page.at("messages"), Host="shop.example", **own)
    assert (got.status, got.headers["access-control-allow-origin"]) == (200, SHOP)
    cross = {"Origin": None, "Sec_Fetch_Site": "cross-site"}
    assert problem(page.send("GET", page.at("messages"), Host="shop.example", **cross)) == (
        403,
        "origin",
        None,
    )


def test_a_preflight_says_what_may_be_sent(server: Served) -> None:
    got = server.visitor().send("OPTIONS", BEGIN, Authorization=None, Access_Control_Request_Method="POST")
    assert (got.status, got.body) == (204, b"")
    assert got.headers["access-control-allow-origin"] == SHOP
    assert "headrace-secret" in got.headers["access-control-allow-headers"].lower()
    assert "origin" in got.headers["vary"].lower()
    assert "access-control-allow-credentials" not in got.headers


def test_no_other_route_has_cors_headers(server: Served) -> None:
    page = server.visitor()
    for path in ("/v1/predict", "/v1/feedback", "/healthz", "/openapi.json", "/docs", "/metrics", "/nothing",
                 "/widget.js", "/widget/demo", "/widget/demo.css"):  # fmt: skip
        for method in ("GET", "POST", "OPTIONS"):
            got = page.send(method, path, {} if method == "POST" else None)
            assert not [name for name in got.headers if name.startswith("access-control")], (method, path)
    for method, part, body in PARTS:
        page.conversation = "cnv_1"
        got = page.send(method, page.at(part), body)
        assert got.headers["access-control-allow-origin"] == SHOP
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["cache-control"] == "no-store"


def test_anothers_conversation_is_not_there_in_the_same_words(server: Served) -> None:
    mine, other = server.visitor().begin(), server.visitor("partner", PARTNER).begin()
    said = mine.say("a key?").event("message")["id"]
    bodies = set()
    for page, conversation, secret in (
        (server.visitor(), mine.conversation, other.secret),
        (server.visitor(), mine.conversation, ""),
        (server.visitor("partner", PARTNER), mine.conversation, mine.secret),
        (server.visitor(), "cnv_missing", mine.secret),
        (server.visitor(), "%2e%2e", mine.secret),
    ):
        page.conversation, page.secret = conversation, secret
        for method, part, body in PARTS:
            got = page.send(method, page.at(part), body)
            assert got.status == 404
            bodies.add(got.json["detail"])
    assert len(bodies) == 1
    got = other.send("POST", other.at("feedback"), {"message": said, "verdict": "wrong"})
    assert got.status == 404, "nor is a message of another conversation"


# -- how much


def test_a_visitor_and_an_address_may_say_so_much(server: Served) -> None:
    page = server.visitor().begin()
    statuses = [page.say("a key?").status for _ in range(16)]
    assert statuses == [200] * 15 + [429]
    got = page.say("a key?")
    assert problem(got) == (429, "quota", SHOP)
    assert 1 <= int(got.headers["retry-after"]) <= 60
    assert "retry-after" in got.headers["access-control-expose-headers"].lower()
    assert server.visitor().begin().say("a key?").status == 200, "others are not held up"
    page.begin()
    assert page.say("a key?").status == 200, "a new conversation of the address, as far as that goes"


def test_an_address_may_begin_so_often_whatever_it_says_of_itself(server: Served) -> None:
    page = server.visitor()
    statuses = []
    for number in range(13):
        forwarded = f"203.0.113.{number}, {page.address}"
        statuses.append(page.send("POST", BEGIN, {}, X_Forwarded_For=forwarded).status)
    assert statuses == [201] * 12 + [429]


def test_so_many_streams_stand_open_from_an_address(server: Served) -> None:
    page = server.visitor().begin()
    opened = [page.sent("GET", page.at("events"))[0] for _ in range(8)]
    assert [connection.getresponse().status for connection in opened] == [200] * 8
    assert problem(page.send("GET", page.at("events"))) == (429, "quota", SHOP)
    for connection in opened:
        connection.close()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        connection, _ = page.sent("GET", page.at("events"))
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            return
        time.sleep(0.1)
    raise AssertionError("places of those who left are not given back")


def test_a_channels_quota_holds(tmp_path: Path) -> None:
    with served(tmp_path / "p") as server:
        recipe = server.stand.folder / "headrace.yaml"
        text = recipe.read_text()
        recipe.write_text(text.replace("  shop: {", "  shop: {daily_quota: 1, "))
        project = server.stand.project
        server.stand.model.down = True
        page = server.visitor().begin()
        end = time.monotonic() + 5
        while project.recipe.channels["shop"].daily_quota is None and time.monotonic() < end:
            time.sleep(0.05)
        with project.store.transaction() as connection:
            project.store.usage.add_in(connection, {("shop", project.clock().date().isoformat()): 1})
        assert problem(page.say("a key?")) == (429, "quota", SHOP)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"id": "message-1"}, 422, "text"),
        ({"id": "message-1", "text": " "}, 422, "text"),
        ({"id": "message-1", "text": "x" * 4001}, 422, "text"),
        ({"id": "short", "text": "x"}, 422, "id"),
        ({"id": "message-1", "text": "x", "person": "olga"}, 422, "person"),
        ([], 422, "body"),
        (b"{", 400, None),
        (b'{"text": "' + b"x" * 40_000 + b'"}', 413, None),
    ],
)
def test_a_wrong_message_is_a_problem_and_nothing_is_stored(
    server: Served, body: object, status: int, field: str | None
) -> None:
    page = server.visitor().begin()
    got = page.send("POST", page.at("messages"), body)
    assert (got.status, got.json.get("field")) == (status, field)
    assert len(page.send("GET", page.at("messages")).json["messages"]) == 1


def test_the_longest_message_passes_escaped(server: Served) -> None:
    page = server.visitor().begin()
    assert page.say("密" * 4000).status == 200


def test_open_streams_do_not_hold_up_the_end_of_a_server(tmp_path: Path) -> None:
    with served(tmp_path / "p") as server:
        page = server.visitor().begin()
        connection, _ = page.sent("GET", page.at("events"))
        heard = connection.getresponse()
        assert heard.readline() == b"event: message\n"
        began = time.monotonic()
    assert time.monotonic() - began < 5
    connection.close()
