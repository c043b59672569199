"""An OpenAI-style endpoint -> the text that it streams, piece by piece, within a deadline.

The URL is the owner's, from the recipe, so this machine's own addresses are allowed; redirects are not followed,
and the environment's proxies and passwords stay out. A request is sent again only while no text has come.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import httpx2

from headrace.errors import HeadraceError, InputError
from headrace.recipe.sections import ModelRecipe

MOST = 1_000_000
"""Bytes read of one response."""
_TRIES, _CONNECT, _PAUSE = 3, 5.0, 0.25
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


class EndpointFailed(HeadraceError):
    """A language model could not be reached, refused, broke off, or sent what cannot be read."""


class Unfinished(EndpointFailed):
    """The answer ran into the limit of its tokens: its last sentence has no end."""

    def __init__(self) -> None:
        super().__init__("the answer reached its limit of tokens.", cure="Raise writer.tokens in the recipe.")


class _Again(Exception):
    """An attempt failed before its first text; `wait` is what the endpoint asked for, in seconds."""

    def __init__(self, said: str, wait: float | None = None) -> None:
        super().__init__(said)
        self.wait = wait


class Endpoint:
    """One model behind one URL; may be used by several threads."""

    def __init__(
        self,
        model: ModelRecipe,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model, self._clock, self._sleep = model, clock, sleep
        self._url = _url(model.url)
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if model.key is not None:
            headers["Authorization"] = f"Bearer {_key(model.key)}"
        self._client = httpx2.Client(headers=headers, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def stream(self, messages: Sequence[Mapping[str, str]]) -> Iterator[str]:
        """The text of the answer as it comes; raises EndpointFailed.

        Before the first text it is tried three times, for as long as the model's seconds last.
        """
        ends = self._clock() + self._model.seconds
        for attempt in range(_TRIES):
            begun = False
            try:
                for piece in self._attempt(messages, ends):
                    begun = True
                    yield piece
                return
            except (_Again, httpx2.HTTPError, OSError) as error:
                said = str(error) or type(error).__name__
                wait = getattr(error, "wait", None) or _PAUSE * 2**attempt
                if begun or attempt == _TRIES - 1 or self._clock() + wait >= ends:
                    raise self._failed(said) from error
            self._sleep(wait)

    def _attempt(self, messages: Sequence[Mapping[str, str]], ends: float) -> Iterator[str]:
        left = ends - self._clock()
        if left <= 0:
            raise self._failed("the time is over")
        timeout = httpx2.Timeout(left, connect=min(_CONNECT, left))
        with self._client.stream("POST", self._url, json=self._body(messages), timeout=timeout) as response:
            if response.status_code != 200:
                raise self._refused(response)
            kind = response.headers.get("content-type", "").partition(";")[0].strip()
            with _cut_off(response, ends - self._clock()):
                read = _events if kind == "text/event-stream" else _whole
                try:
                    yield from read(response)
                except (ValueError, LookupError, TypeError, AttributeError) as error:
                    raise self._failed(f"it sent what cannot be read ({type(error).__name__})") from error

    def _body(self, messages: Sequence[Mapping[str, str]]) -> dict[str, object]:
        return {
            "model": self._model.model,
            "messages": list(messages),
            "max_tokens": self._model.tokens,
            "temperature": 0,
            "stream": True,
        }

    def _refused(self, response: httpx2.Response) -> Exception:
        said = f"it said {response.status_code}"
        if response.status_code not in _AGAIN:
            return self._failed(said)
        after = response.headers.get("retry-after", "")
        return _Again(said, float(after) if after.isdecimal() and len(after) < 6 else None)

    def _failed(self, said: str) -> EndpointFailed:
        return EndpointFailed(f"the language model gave no answer: {said}.", where=self._model.model)


def _url(base: str) -> str:
    parts = httpx2.URL(base)
    if parts.scheme not in ("http", "https") or not parts.host or parts.userinfo:
        raise InputError(
            f"{base!r} is no URL of an endpoint.", field="url", cure="For example: http://127.0.0.1:8421/v1"
        )
    path = parts.path.rstrip("/")
    return str(
        parts.copy_with(path=path if path.endswith("/chat/completions") else f"{path}/chat/completions")
    )


def _key(name: str) -> str:
    found = os.environ.get(name, "").strip()
    if not found:
        raise InputError(
            f"the environment has no {name}.", field="key", cure=f"Set {name} to the language model's key."
        )
    return found


@contextmanager
def _cut_off(response: httpx2.Response, seconds: float) -> Iterator[None]:
    """Close the connection after `seconds`, even where a byte comes now and then."""
    stream = response.extensions["network_stream"]
    timer = threading.Timer(max(seconds, 0), _shut, (stream.get_extra_info("socket"),))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(bare: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        bare.shutdown(socket.SHUT_RDWR)


def _events(response: httpx2.Response) -> Iterator[str]:
    """The text in server-sent events; raises _Again where they break off."""
    for line in _lines(response):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise _Again("it broke off with an error")
        for choice in event["choices"][:1]:
            if text := choice["delta"].get("content"):
                yield str(text)
            if choice.get("finish_reason") == "length":
                raise Unfinished
    raise _Again("it broke off")


def _whole(response: httpx2.Response) -> Iterator[str]:
    """The text of an endpoint that does not stream."""
    choice = json.loads(b"".join(_pieces(response)))["choices"][0]
    yield str(choice["message"]["content"])
    if choice.get("finish_reason") == "length":
        raise Unfinished


def _lines(response: httpx2.Response) -> Iterator[bytes]:
    held = b""
    for piece in _pieces(response):
        *whole, held = (held + piece).split(b"\n")
        yield from whole


def _pieces(response: httpx2.Response) -> Iterator[bytes]:
    size = 0
    for piece in response.iter_raw():
        size += len(piece)
        if size > MOST:
            raise ValueError("too long")
        yield piece
