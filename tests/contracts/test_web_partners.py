"""The partner API as partners meet it: messages, OpenAI's official client, quotas in headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from shop_stand import Shop, shop
from support_stand import PretendGuarantee, PretendWriter
from web_stand import standing
from widget_stand import Served, served

from headrace.records import utc_now
from headrace.store import Store


class Partner:
    """A server of a partner's, with the channel's secret key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.client = httpx2.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20)

    def say(self, body: dict[str, Any], **headers: str) -> httpx2.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/v1/messages", json=body, headers=sent)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("partner") / "p") as found:
        yield found


@pytest.fixture
def partner(place: Served) -> Partner:
    return Partner(place.url, place.keys["secret"])


def test_a_message_is_answered_with_its_sources_and_a_follow_up_within_the_conversation(
    partner: Partner,
) -> None:
    first = partner.say({"text": "How do I roll back?", "person": "user-1"})
    said = first.json()
    assert first.status_code == 200, said
    assert (said["decision"], said["reply"]["text"]) == ("alone", "Run headrace rollback.")
    assert said["reply"]["sources"] == [{"title": "roll?", "url": ""}]
    assert said["reply"]["answer"]
    more = {"text": "And a key?", "conversation": said["conversation"]}
    second = partner.say(more, headrace_secret=said["secret"]).json()
    assert (second["conversation"], second["secret"]) == (said["conversation"], None)
    asked = {"conversation": said["conversation"], "after": second["message"]}
    got = partner.client.get("/v1/messages", params=asked, headers={"headrace-secret": said["secret"]})
    assert [m["text"] for m in got.json()["messages"]] == [second["reply"]["text"]]


def test_a_conversation_opens_by_its_secret_alone_and_only_in_its_channel(
    partner: Partner, place: Served
) -> None:
    said = partner.say({"text": "How do I roll back?"}).json()
    again = {"text": "More", "conversation": said["conversation"]}
    assert partner.say(again).status_code == 422
    assert partner.say(again, headrace_secret="x" * 43).status_code == 404
    other = Partner(place.url, place.stand.project.new_key("partner")[1])
    assert other.say(again, headrace_secret=said["secret"]).status_code == 404
    public = Partner(place.url, place.keys["shop"])
    assert public.say({"text": "Hello"}).status_code == 401


def test_an_idempotency_key_carries_a_message_out_once(partner: Partner, place: Served) -> None:
    first = partner.say({"text": "How do I roll back?"}, idempotency_key="one")
    before = place.stand.project.store.conversations.messages(first.json()["conversation"])
    again = partner.say({"text": "How do I roll back?"}, idempotency_key="one")
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert place.stand.project.store.conversations.messages(first.json()["conversation"]) == before
    assert partner.say({"text": "Another"}, idempotency_key="one").status_code == 409


def test_a_key_whose_reply_was_lost_finds_the_same_conversation(partner: Partner, place: Served) -> None:
    first = partner.say({"text": "How do I roll back?"}, idempotency_key="lost").json()
    _lose(place.stand.project.store, "lost")
    assert partner.say({"text": "How do I roll back?"}, idempotency_key="lost").json() == first


def _lose(store: Store, key: str) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM replies WHERE key = ?", (key,))


def test_a_person_answers_later(partner: Partner, place: Served) -> None:
    place.stand.guarantee.alone = place.stand.guarantee.ask = 2.0
    said = partner.say({"text": "How do I roll back?"}).json()
    place.stand.guarantee.alone, place.stand.guarantee.ask = 0.8, 0.5
    assert said["decision"] == "person"
    assert said["ticket"]
    place.stand.desk.take(said["ticket"], "olga")
    place.stand.desk.answer(said["ticket"], "olga", "Like this.")
    asked = {"conversation": said["conversation"], "after": said["reply"]["id"]}
    got = partner.client.get("/v1/messages", params=asked, headers={"headrace-secret": said["secret"]})
    assert [(m["author"], m["text"]) for m in got.json()["messages"]] == [("agent", "Like this.")]


def test_what_is_sent_stands_in_the_documentation(partner: Partner) -> None:
    schema = partner.client.get("/openapi.json").json()
    assert {"post", "get"} == schema["paths"]["/v1/messages"].keys()
    assert "/v1/messages" in partner.client.get("/docs").text


def client(place: Served, name: str = "secret") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{place.url}/v1", api_key=place.keys[name], max_retries=0, timeout=20)


TURNS: Any = [
    {"role": "system", "content": "You are a pirate."},
    {"role": "user", "content": "Where do I set the quota?"},
    {"role": "assistant", "content": "In headrace.yaml."},
    {"role": "user", "content": "How do I"},
    {"role": "user", "content": [{"type": "text", "text": "roll back?"}]},
]


def test_the_official_client_is_answered_whole_and_streamed(place: Served) -> None:
    whole = client(place).chat.completions.create(model="shop", messages=TURNS)
    assert whole.choices[0].message.content == "Run headrace rollback."
    assert whole.choices[0].finish_reason == "stop"
    extra: Any = whole.model_extra
    assert extra["headrace"]["decision"] == "alone"
    assert extra["headrace"]["sources"] == [{"title": "roll?", "url": ""}]
    pieces = list(client(place).chat.completions.create(model="shop", messages=TURNS, stream=True))
    text = "".join(p.choices[0].delta.content or "" for p in pieces)
    assert (text, pieces[-1].choices[0].finish_reason) == ("Run headrace rollback.", "stop")
    assert [m.id for m in client(place).models.list()] == ["shop"]


def test_earlier_turns_are_context_and_nobody_answers_them(place: Served) -> None:
    place.stand.search.asked.clear()
    turns: Any = [*TURNS[:3], {"role": "user", "content": "what about it?"}]
    found = client(place).chat.completions.create(model="shop", messages=turns)
    assert place.stand.search.asked[0][1] == ("Where do I set the quota?",)
    extra: Any = found.model_extra
    said = place.stand.project.store.conversations.messages(extra["headrace"]["conversation"])
    assert [m.author for m in said][:4] == ["machine", "customer", "machine", "customer"]
    assert "pirate" not in "".join(m.text for m in said)
    assert not place.stand.project.store.conversations.unanswered()


def test_a_writer_streams_sentence_by_sentence(tmp_path: Path) -> None:
    with served(tmp_path / "w", guarantee=PretendGuarantee(alone=0.0), writer=PretendWriter()) as place:
        _uncurated(place)
        asked: Any = [{"role": "user", "content": "headrace?"}]
        pieces = list(client(place).chat.completions.create(model="shop", messages=asked, stream=True))
        said = [p.choices[0].delta.content for p in pieces if p.choices[0].delta.content]
    assert said == ["Part 0. [1]", " Part 1. [2]"]


def _uncurated(place: Served) -> None:
    with place.stand.project.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE passages SET curated = 0, intent = NULL")


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"model": "partner"}, 404, "model"),
        ({"messages": TURNS[:3]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 4001}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, 400, "messages"),
        ({"n": 2}, 400, "n"),
    ],
)
def test_a_mistake_is_told_in_openais_form(partner: Partner, change: Any, status: int, param: str) -> None:
    got = partner.client.post("/v1/chat/completions", json={"model": "shop", "messages": TURNS} | change)
    assert (got.status_code, got.json()["error"]["param"]) == (status, param)


def test_a_public_key_opens_no_form_of_openais(place: Served) -> None:
    for call in (
        lambda c: c.chat.completions.create(model="shop", messages=TURNS),
        lambda c: c.embeddings.create(model="shop", input="x"),
    ):
        with pytest.raises(openai.AuthenticationError):
            call(client(place, "shop"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, openai.OpenAI]]:
    with shop(tmp_path_factory.mktemp("embed") / "shop") as found:
        key = found.project.new_key("shop")[1]
        yield found, openai.OpenAI(base_url=f"{found.url}/v1", api_key=key, max_retries=0, timeout=30)


def test_embeddings_are_the_bases_own_and_count_as_questions(trained: tuple[Shop, openai.OpenAI]) -> None:
    place, official = trained
    day = utc_now().date().isoformat()
    before = place.project.store.usage.asked("shop", day)
    texts = ["怎么退款？", "my parcel", "my invoice"]
    found = official.embeddings.create(model="shop", input=texts)
    plain = official.embeddings.create(model="intent", input=texts[0], encoding_format="float")
    vectors = np.array([one.embedding for one in found.data])
    assert [one.index for one in found.data] == [0, 1, 2]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[0], plain.data[0].embedding, atol=1e-6)
    assert not np.allclose(vectors[0], vectors[1])
    assert place.project.store.usage.asked("shop", day) == before + 4


@pytest.mark.parametrize(
    "sent", [{"input": []}, {"input": [[1, 2]]}, {"input": "x", "dimensions": 3}, {"input": ""}]
)
def test_embeddings_refuse_what_they_cannot_read(trained: tuple[Shop, openai.OpenAI], sent: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        trained[1].embeddings.create(**({"model": "shop"} | sent))
    assert refused.value.param in ("input", "dimensions", "input[0]")


def test_headers_say_what_is_left_of_the_quota(sqlite_store: Store) -> None:
    with standing(sqlite_store) as stand:
        got = stand.ask(channel="partner")
        assert got.headers["ratelimit-policy"] == '"day";q=5;w=86400'
        assert got.headers["ratelimit"] == '"day";r=4;t=43200'
        assert "ratelimit" not in stand.ask(channel="shop").headers
        spent = [stand.ask(channel="partner") for _ in range(5)][-1]
    assert (spent.status, spent.headers["ratelimit"]) == (429, '"day";r=0;t=43200')
    assert spent.headers["retry-after"] == "43200"
    assert json.loads(spent.body)["type"] == "/docs#quota"
