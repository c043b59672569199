"""python web_process.py FOLDER SECONDS: a real server process over the store in FOLDER, its engine pretended.

Prints its URL and the key of `shop` as one JSON line. Each answer of the engine takes SECONDS.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from web_stand import Stand, scored

from headrace.errors import NotServed
from headrace.records import random_id
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Ask, Scored
from headrace.store import Store
from headrace.web.server import serve


class SlowEngine:
    """Answers a batch in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def answer(self, asks: Sequence[Ask]) -> list[Scored | NotServed]:
        time.sleep(self._seconds)
        return [scored(ask.text) for ask in asks]

    def swap(self, bank: object) -> None:
        """There is no bank to swap."""

    def cost(self, ask: Ask) -> int:
        """Every row costs the same."""
        return 1

    def absent(self, ask: Ask) -> None:
        """All is in memory."""

    def fetch(self, key: object) -> None:
        """Nothing is ever absent."""


def main(folder: str, seconds: str) -> None:
    """Serve until a signal."""
    store = Store.open("store.db", Path(folder), create=True)
    stand = Stand(store, batcher=Batcher(SlowEngine(float(seconds))), ids=random_id)

    def ready(url: str) -> None:
        print(json.dumps({"url": url, "key": stand.keys["shop"]}), flush=True)

    serve(stand.service, store, host="127.0.0.1", port=0, ready=ready)
    print("closed", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
