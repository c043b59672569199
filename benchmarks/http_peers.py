"""HTTP beside the servers that a user would pick instead: the same base and texts, one core, in turns.

The peers have one classifier and store nothing; ours has 1,024 adapters and has every answer on disk before it
is sent. Each peer is measured in the variants named here, and its best one is compared.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from benchmarks.client import closed, request
from benchmarks.environments import Peer, PeerFailed, PeerMissing
from benchmarks.http_stand import Server, Stand
from benchmarks.timing import at_least

VARIANTS: Mapping[str, Sequence[Mapping[str, object]]] = {
    "infinity": (
        {"engine": "torch", "dtype": "bfloat16"},
        {"engine": "torch", "dtype": "float32"},
        {"engine": "optimum"},
    ),
    "litserve": (
        {"dtype": "bfloat16", "batch": 32, "wait": 0.005},
        {"dtype": "float32", "batch": 32, "wait": 0.005},
    ),
}
BUSY, SECONDS = 128, 4.0


def compare(stand: Stand, server: Server) -> None:
    """Answers a second of ours over those of each peer's best variant."""
    for name, variants in VARIANTS.items():
        try:
            _compare(stand, server, name, variants[:1] if stand.quick else variants)
        except (PeerMissing, PeerFailed) as error:
            print(f"left out: {name}: {error}", file=sys.stderr, flush=True)


def _compare(stand: Stand, server: Server, name: str, variants: Sequence[Mapping[str, object]]) -> None:
    rounds, best, ratios = (1 if stand.quick else 3), list[float](), list[float]()
    with Peer(name, cores=[stand.server_core]) as peer:
        for variant in variants:
            theirs, over = list[float](), list[float]()
            folder = str(stand.folder / "peers")
            found = peer.ask(
                {"do": "start", "port": _free(), "model": str(stand.base.path), "folder": folder, **variant}
                if name == "infinity"
                else {"do": "start", "port": _free(), "model": str(stand.base.path), **variant}
            )
            for _ in range(rounds):
                theirs.append(_rate(found, stand))
                over.append(_ours(stand, server) / theirs[-1])
            peer.ask({"do": "stop"})
            print(f"{name} {dict(variant)}: {theirs}", file=sys.stderr, flush=True)
            if not best or max(theirs) > max(best):
                best, ratios = theirs, over
    stand.add(f"{name}, its best variant", best, "answers/s")
    stand.add(f"HTTP answers/s over {name}'s", ratios, "x", at_least(3.0))


def _ours(stand: Stand, server: Server) -> float:
    heard = closed(server.port, stand.requests(12_000), BUSY, SECONDS)
    return heard.answers / heard.seconds


def _rate(found: Mapping[str, Any], stand: Stand) -> float:
    """Answers a second of a server that says where and how it is asked."""
    url = urlsplit(found["url"])
    asked = [
        request(url.path, found["template"].replace('"TEXT"', json.dumps(text)).encode())
        for text in stand.next(4_000)
    ]
    heard = closed(int(url.port or 80), asked, BUSY, SECONDS)
    if set(heard.statuses) != {200}:
        raise PeerFailed(f"it answered {dict(heard.statuses)}")
    return heard.answers / heard.seconds


def _free() -> int:
    """A port that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port
