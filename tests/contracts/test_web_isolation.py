"""No channel sees another's data: whatever names an id in /openapi.json is tried with a foreign one.

Made from the document, so that a route added later is tried without a word here (OWASP LLM08).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from web_stand import CHANNELS, Got, Stand, standing

from headrace.store import Store
from headrace.web.api.schemas import ANSWER_ID
from headrace.web.logs import logger

CANARY = "canary-9b1d wants hr_live_"


@pytest.fixture
def stand(sqlite_store: Store) -> Iterator[Stand]:
    with standing(sqlite_store) as made:
        yield made


def operations(stand: Stand) -> list[tuple[str, str, dict[str, Any]]]:
    paths = stand.get("/openapi.json").json["paths"]
    return [
        (path, method.upper(), found) for path, methods in paths.items() for method, found in methods.items()
    ]


def body_schema(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    found: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return found


def sample(schema: dict[str, Any], answer: str) -> dict[str, Any]:
    """A body with every needed field, ids being `answer`."""
    return {name: _value(schema["properties"][name], answer) for name in schema.get("required", ())}


def _value(field: dict[str, Any], answer: str) -> Any:
    if field.get("format") == ANSWER_ID:
        return answer
    return field["enum"][0] if "enum" in field else "x"


def test_every_id_of_another_channel_is_not_found_in_the_same_words_as_a_missing_one(stand: Stand) -> None:
    foreign = stand.ask().json["answers"][0]["id"]
    tried = 0
    for path, method, operation in operations(stand):
        schema = body_schema(operation)
        names_an_id = any(f.get("format") == ANSWER_ID for f in schema.get("properties", {}).values())
        if not (names_an_id or "{" in path):
            continue
        for channel in ("forum", "partner"):
            got = [_try(stand, method, path, schema, channel, answer) for answer in (foreign, "ans_missing")]
            assert [g.status for g in got] == [404, 404]
            assert got[0].body == got[1].body
            assert foreign.encode() not in got[0].body
            tried += 1
        assert _try(stand, method, path, schema, "shop", foreign).status == 200
    assert tried == 2
    assert [feedback.channel for feedback in stand.store.feedback.list()] == ["shop"]


def _try(stand: Stand, method: str, path: str, schema: dict[str, Any], channel: str, answer: str) -> Got:
    filled = path.replace("{", "").replace("}", "") if "{" not in path else path.format_map(_Ids(answer))
    got: Got = stand.wait(stand.send(method, filled, sample(schema, answer), stand.headers(channel)))
    return got


class _Ids(dict[str, str]):
    def __init__(self, answer: str) -> None:
        super().__init__()
        self._answer = answer

    def __missing__(self, _name: str) -> str:
        return self._answer


def test_fields_that_look_like_ids_say_so(stand: Stand) -> None:
    """A field called answer, id or *_id without the format would escape the test above."""
    for _, _, operation in operations(stand):
        for name, field in body_schema(operation).get("properties", {}).items():
            if name in ("answer", "id") or name.endswith("_id"):
                assert field.get("format") == ANSWER_ID, name


def test_every_route_under_v1_asks_for_a_key(stand: Stand) -> None:
    for path, method, operation in operations(stand):
        if path.startswith("/v1/"):
            assert operation["security"]
            headers = {"content-type": "application/json"}
            assert stand.wait(stand.send(method, path, {}, headers)).status == 401


def test_what_one_channel_asked_is_in_no_other_answer_log_or_metric(stand: Stand) -> None:
    secret = f"{CANARY}{'A' * 49}"
    assert stand.ask(secret).status == 200
    stand.batcher.broken = True
    assert stand.ask(secret).status == 500
    stand.batcher.broken = False
    others = [stand.ask(channel=c, task="intent") for c in CHANNELS if c != "shop"]
    seen = [
        got.body for got in (*others, stand.get("/metrics"), stand.get("/openapi.json"), stand.get("/docs"))
    ]
    for text in (*map(bytes.decode, seen), stand.log.getvalue()):
        assert "canary" not in text
        assert "hr_live_A" not in text
        assert not any(key in text for key in stand.keys.values())


def test_an_idempotency_key_belongs_to_its_channel(stand: Stand) -> None:
    first = stand.post("/v1/predict", {"text": "a", "task": "intent"}, "shop", key="k")
    other = stand.post("/v1/predict", {"text": "a", "task": "intent"}, "forum", key="k")
    assert first.status == other.status == 200
    assert first.json["answers"][0]["id"] != other.json["answers"][0]["id"]


def test_the_log_hides_keys_and_texts_wherever_they_stand() -> None:
    out = io.StringIO()
    log = logger(out)
    secret = "hr_live_" + "Z" * 49
    log.info(
        "a", text="canary", authorization=secret, note=f"see {secret}", many=[secret, {"text": "canary"}]
    )
    try:
        raise ValueError(f"canary {secret}") from RuntimeError("canary")
    except ValueError:
        log.exception("b", value=object())
    text = out.getvalue()
    assert "canary" not in text
    assert "hr_live_" not in text
    assert '"error": ["ValueError", "RuntimeError"]' in text
