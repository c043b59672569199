"""`headrace lm` as the official client and as others meet it: answers, streams, counts, refuses, stops."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from tiny_lm import make_tiny_lm

from headrace.errors import InputError
from headrace.models.tasks.generate import Piece, Sampling
from headrace.models.tasks.generate_torch import Generator
from headrace.web.lm import server
from headrace.web.lm.app import BODY, Endpoint, Model, create_app
from headrace.web.lm.line import Line
from headrace.web.server import Server, config_of, listening, url_of

KEY = "a-key-of-sixteen-characters-or-more"
HELLO: Any = [{"role": "user", "content": "Hello"}]


class Slow:
    """Says a word every `pause` seconds until it is stopped; then `stopped` is set."""

    name, context = "slow", 100

    def __init__(self, pause: float = 0.02) -> None:
        self._pause, self.stopped, self.begun = pause, threading.Event(), 0

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        return [1] * sum(len(one["content"].split()) for one in messages)

    def stream(
        self, prompt: Sequence[int], sampling: Sampling, stopped: Callable[[], bool]
    ) -> Iterator[Piece]:
        self.begun += 1
        for count in range(1, sampling.tokens + 1):
            if stopped():
                self.stopped.set()
                return
            time.sleep(self._pause)
            if prompt[0] == 1 and len(prompt) == 13 and count == 3:
                raise RuntimeError("inner /srv/secret")
            yield Piece("word ", count, "length" if count == sampling.tokens else None)


class Stand:
    """A server in a thread, over a model."""

    def __init__(self, model: Model, key: str | None = None, waiting: int = 8) -> None:
        self.line = Line(waiting)
        self._app = create_app(Endpoint(model, self.line, key, seed=lambda: 7))

    def __enter__(self) -> str:
        self._listening, started = listening("127.0.0.1", 0), threading.Event()
        bound = self._listening.__enter__()
        self._server = Server(config_of(self._app), started.set)
        self._thread = threading.Thread(target=self._server.run, args=([bound],), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return f"{url_of(bound)}/v1"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self.line.close()
        self._listening.__exit__(None, None, None)


def client(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=20)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = make_tiny_lm(tmp_path_factory.mktemp("lm"))
    model = Generator.load(str(folder), folder, threads=1)
    model.name = "tiny"
    with Stand(model) as url:
        yield url


def test_the_official_client_gets_the_same_answer_whole_and_streamed(tiny: str) -> None:
    ask: dict[str, Any] = {"model": "tiny", "messages": HELLO, "max_tokens": 24, "seed": 3}
    whole = client(tiny).chat.completions.create(**ask)
    pieces = list(
        client(tiny).chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    )
    said = whole.choices[0]
    assert said.message.role == "assistant"
    assert said.message.content == "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert pieces[-2].choices[0].finish_reason == said.finish_reason
    assert pieces[-1].usage == whole.usage
    assert whole.usage
    assert whole.usage.completion_tokens <= 24
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert {p.id for p in pieces} == {pieces[0].id} != {whole.id}


def test_models_are_listed(tiny: str) -> None:
    assert [model.id for model in client(tiny).models.list()] == ["tiny"]
    assert client(tiny).models.retrieve("tiny").owned_by == "headrace"
    with pytest.raises(openai.NotFoundError):
        client(tiny).models.retrieve("other")


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": "other"}, "model", "model_not_found"),
        ({"messages": []}, "messages", "invalid"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "invalid"),
        ({"temperature": 3}, "temperature", "invalid"),
        ({"n": 2}, "n", "invalid"),
        ({"tools": []}, "tools", "invalid"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid"),
        ({"max_tokens": 0}, "max_tokens", "invalid"),
        ({"messages": [{"role": "user", "content": "x" * 600}]}, "messages", "context_length_exceeded"),
    ],
)
def test_a_mistake_is_told_in_openais_form(tiny: str, change: Any, param: str, code: str) -> None:
    sent = httpx2.post(f"{tiny}/chat/completions", json={"model": "tiny", "messages": HELLO} | change)
    error = sent.json()["error"]
    assert (sent.status_code, error["type"]) == (404 if change.get("model") else 400, "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)
    assert error["message"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b" " * (BODY + 1), {}, 413),
    ],
)
def test_a_body_that_cannot_be_read_is_an_error_too(
    tiny: str, body: bytes, headers: Any, status: int
) -> None:
    headers = {"content-type": "application/json"} | headers
    sent = httpx2.post(f"{tiny}/chat/completions", content=body, headers=headers)
    assert sent.status_code == status
    assert sent.json()["error"]["message"]


def test_paths_and_methods_that_are_not_there(tiny: str) -> None:
    assert httpx2.get(f"{tiny}/chat/completions").json()["error"]["code"] == "not_found"
    assert httpx2.get(f"{tiny}/nothing").status_code == 404


def test_without_a_key_a_web_page_cannot_reach_it_by_a_name_of_its_own(tiny: str) -> None:
    assert httpx2.get(f"{tiny}/models", headers={"host": "evil.example"}).status_code == 403
    assert httpx2.get(f"{tiny}/models", headers={"host": "localhost:1"}).status_code == 200


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    with Stand(Slow(), key=KEY) as url:
        for wrong in ("none", KEY[:-1], "ü"):
            assert httpx2.get(f"{url}/models", headers={b"authorization": wrong.encode()}).status_code == 401
        with pytest.raises(openai.AuthenticationError) as refused:
            client(url).chat.completions.create(model="slow", messages=HELLO)
        assert KEY not in str(refused.value)
        assert client(url, KEY).chat.completions.create(model="slow", messages=HELLO, max_tokens=1).choices


def test_an_address_open_to_others_is_refused_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--key-env"):
        server.serve(Slow(), host="0.0.0.0")
    monkeypatch.setenv("LM_KEY", "short")
    for variable in ("LM_KEY", "NO_SUCH_VARIABLE"):
        with pytest.raises(InputError) as refused:
            server.key_of(variable)
        assert "short" not in str(refused.value).replace("shorter", "")


@pytest.mark.parametrize("stream", [True, False])
def test_where_the_client_goes_the_model_stops_and_the_next_is_answered(stream: bool) -> None:
    model = Slow()
    with Stand(model) as url:
        body = {"model": "slow", "messages": HELLO, "max_tokens": 5000, "stream": stream}
        asking = httpx2.stream("POST", f"{url}/chat/completions", json=body, timeout=0.4)
        with suppress(httpx2.TimeoutException), asking as sent:
            next(sent.iter_raw())
        assert model.stopped.wait(3)
        after = client(url).chat.completions.create(model="slow", messages=HELLO, max_tokens=2)
        assert after.choices[0].message.content == "word word "


def test_one_is_answered_at_a_time_and_beyond_the_line_others_come_again() -> None:
    model = Slow()
    body, stand = {"model": "slow", "messages": HELLO, "max_tokens": 100}, Stand(model, waiting=1)
    with stand as url:
        first = [httpx2.Client(timeout=30) for _ in range(2)]
        done: list[int] = []
        threads = [
            threading.Thread(
                target=lambda c=c: done.append(c.post(f"{url}/chat/completions", json=body).status_code)
            )
            for c in first
        ]
        for thread in threads:
            thread.start()
        while stand.line._inside < 2:
            time.sleep(0.01)
        full = httpx2.post(f"{url}/chat/completions", json=body)
        assert (full.status_code, full.json()["error"]["code"]) == (503, "server_full")
        assert 1 <= int(full.headers["retry-after"]) <= 60
        assert model.begun == 1, "the second waits"
        for thread in threads:
            thread.join()
    assert done == [200, 200]


def test_a_failure_in_the_middle_says_so_and_names_nothing_inner() -> None:
    messages = [{"role": "user", "content": "x " * 13}]
    with Stand(Slow()) as url:
        whole = httpx2.post(f"{url}/chat/completions", json={"model": "slow", "messages": messages})
        sent = httpx2.post(
            f"{url}/chat/completions", json={"model": "slow", "messages": messages, "stream": True}
        )
    assert (whole.status_code, whole.json()["error"]["code"]) == (500, "internal_error")
    last = json.loads(sent.text.strip().rpartition("data: ")[2])
    assert last["error"]["type"] == "server_error"
    assert "[DONE]" not in sent.text
    assert "secret" not in sent.text + whole.text


def test_the_verb_serves_until_a_signal(tmp_path: Path) -> None:
    folder = make_tiny_lm(tmp_path / "lm")
    words = [sys.executable, "-m", "headrace", "lm", str(folder), "--port", "0", "--threads", "1"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr
        said = [process.stderr.readline(), process.stderr.readline()]
        url = said[1].split(" answers at ")[1].split(";")[0]
        whole = client(url).chat.completions.create(model=str(folder), messages=HELLO, max_tokens=3)
        assert whole.choices[0].finish_reason in ("stop", "length")
        process.terminate()
        assert process.wait(20) == 0


def test_the_verb_says_which_extra_it_needs() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from headrace.cli.app import app\napp(['lm'], prog_name='headrace')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert 'pip install "headrace[lm]"' in done.stderr
