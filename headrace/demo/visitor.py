"""Whoever asks over the wire: one question at a time, corrections, and a client that never stops asking."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx2

from headrace.errors import HeadraceError

PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as the server sent it."""

    id: str
    label: str
    confidence: float
    because: str | None


class Visitor:
    """Asks as one channel, with its key."""

    def __init__(self, url: str, key: str, task: str) -> None:
        self.task = task
        self._http = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def ask(self, text: str) -> Reply:
        """The answer to one question; raises HeadraceError with what the server said."""
        found = self._post("/v1/predict", {"task": self.task, "text": text})["answers"][0]
        return Reply(found["id"], found["label"], found["confidence"], found["because"])

    def correct(self, answer: str, label: str, *, person: str) -> None:
        """Say what the right label is; returns once the server has it on disk."""
        body = {"answer": answer, "verdict": "correction", "label": label, "person": person}
        self._post("/v1/feedback", body)

    def milliseconds_to_effect(self, text: str, answer: str, label: str, *, person: str) -> float | None:
        """Correct an answer and ask again until the correction shows; None where it never does."""
        began = time.perf_counter()
        self.correct(answer, label, person=person)
        while time.perf_counter() - began < PATIENCE:
            if self.ask(text).label == label:
                return 1000 * (time.perf_counter() - began)
        return None

    def _post(self, path: str, body: dict[str, str]) -> Any:
        reply = self._http.post(path, json=body)
        if reply.status_code != 200:
            raise HeadraceError(f"the server answered {reply.status_code}: {reply.text[:300]}", where=path)
        return reply.json()


@dataclass
class Tally:
    """Requests sent, and those that were not answered with 200."""

    requests: int = 0
    failures: int = 0


@contextmanager
def asking_all_through(url: str, key: str, task: str, texts: Sequence[str]) -> Iterator[Tally]:
    """A client in a thread of its own that asks ten times a second until the block ends."""
    tally, stop = Tally(), threading.Event()

    def work() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=url, headers=headers, timeout=60) as http:
            for text in itertools.cycle(texts):
                if stop.wait(0.1):
                    return
                tally.requests += 1
                try:
                    status = http.post("/v1/predict", json={"task": task, "text": text}).status_code
                except httpx2.HTTPError:
                    status = 0
                tally.failures += status != 200

    thread = threading.Thread(target=work, name="demo-client")
    thread.start()
    try:
        yield tally
    finally:
        stop.set()
        thread.join()
