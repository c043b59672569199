"""More channels than memory has room for: Zipf traffic through the batcher, beside all in memory.

Channel k of n is asked in proportion to 1 / k^s (Zipf's law). Rows go through the batcher as a server's do:
what waits for the disk stands aside. Throughput is measured with a fixed number of rows under way; delays with
arrivals at random moments (a Poisson process) at half of the throughput with all in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic import TASK, channel
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Ask, Engine, Scored

UNDER_WAY = 64


def asks(texts: Sequence[str], channels: int, exponent: float, count: int, seed: int) -> list[Ask]:
    """`count` asks by Zipf's law; which channels are the popular ones is drawn."""
    random = np.random.default_rng(seed)
    share = np.arange(1, channels + 1, dtype=np.float64) ** -exponent
    ranks = random.choice(channels, count, p=share / share.sum())
    names = np.random.default_rng(0).permutation(channels)[ranks]
    picked = random.integers(0, len(texts), count)
    return [Ask(TASK, channel(int(c)), texts[int(t)]) for c, t in zip(names, picked, strict=True)]


def through(batcher: Batcher, asked: Sequence[Ask]) -> tuple[float, float]:
    """Seconds of the clock and of the processor for all asks, `UNDER_WAY` of them at any time."""
    room = threading.Semaphore(UNDER_WAY)
    began, worked = time.perf_counter(), time.process_time()
    futures = list[Future[Scored]]()
    for ask in asked:
        room.acquire()
        future = batcher.submit(ask)
        future.add_done_callback(lambda _: room.release())
        futures.append(future)
    for future in futures:
        future.result()
    return time.perf_counter() - began, time.process_time() - worked


def delays(
    batcher: Batcher, engine: Engine, asked: Sequence[Ask], rate: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Seconds from each arrival to its answer, at `rate` a second, and whether its adapter was in memory.

    Arrivals do not wait for answers; one that comes late, because the core was busy, is counted from when it
    was due.
    """
    due = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, len(asked)))
    ended, here = np.zeros(len(asked)), np.zeros(len(asked), bool)

    def note(place: int) -> None:
        ended[place] = time.perf_counter() - began

    began, futures = time.perf_counter(), list[Future[Scored]]()
    for place, ask in enumerate(asked):
        wait = due[place] - (time.perf_counter() - began)
        if wait > 0:
            time.sleep(wait)
        here[place] = engine.absent(ask) is None
        future = batcher.submit(ask)
        future.add_done_callback(lambda _, at=place: note(at))  # type: ignore[misc]
        futures.append(future)
    for future in futures:
        future.result()
    return ended - due, here
