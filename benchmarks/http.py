"""What HTTP and durable answers cost on top of the engine, and how long a question waits.

A server of 1,024 channels, each on an adapter of its own, is pinned to one core and the client to another.
Throughput: every connection busy. Delays: arrivals at fixed random moments (a Poisson process), counted from
when each was due. No text comes again before 13,000 others, so that no cache answers. Rounds of the engine
alone, on the same texts and core, and of HTTP take turns.

On some virtual machines a disk's interrupt wakes an idle core only at its next tick, so that each sync takes
4 ms for nothing. A process of the lowest priority on the server's core keeps it awake (`--asleep` leaves it
out); it takes no time from the server.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.client import Heard, arrivals, closed
from benchmarks.figures import Figure, data_argument, main
from benchmarks.http_peers import compare
from benchmarks.http_stand import NOISY, Server, Stand, awake, serving
from benchmarks.synthetic import TASK, channel
from benchmarks.timing import at_least, at_most, cpu_seconds, pin
from headrace.serving.engine import Ask, Engine

BUSY = 128  # connections that are kept busy
ROUND_SECONDS, DELAY_SECONDS = 4.0, 15.0
BATCH = 64  # rows that the server takes at once
PARTS = ("throughput", "delays", "noisy", "peers", "workers")
NOISY_SHARE = 0.05  # of the server's throughput: what its quota allows; it asks ten times that


def alone(stand: Stand, engine: Engine) -> float:
    """Rows per cpu-second of tokenizer and engine, on the server's core, in batches as the server forms."""
    texts = stand.next(256 if stand.quick else 2048)
    asks = [
        Ask(TASK, channel(o), t) for o, t in zip(stand.owners(len(texts), stand.sent), texts, strict=True)
    ]

    def run() -> None:
        for at in range(0, len(asks), BATCH):
            engine.answer(asks[at : at + BATCH])

    before = pin(stand.server_core)
    try:
        return len(asks) / cpu_seconds(run)
    finally:
        os.sched_setaffinity(0, before)


def throughput(stand: Stand, server: Server, engine: Engine) -> float:
    """Answers a second with all connections busy, over the engine's rows per cpu-second; gives answers/s."""
    seconds, most = (2.0, 5_000) if stand.quick else (ROUND_SECONDS, 12_000)
    rates, per_cpu, engines, shares = list[float](), list[float](), list[float](), list[float]()
    for _ in range(stand.rounds):
        engines.append(alone(stand, engine))
        before, place = server.cpu(), stand.sent
        heard = closed(server.port, stand.requests(most), BUSY, seconds)
        used = server.cpu() - before
        stand.sent = place + sum(heard.statuses.values())
        _all_answered(heard)
        rates.append(heard.answers / heard.seconds)
        per_cpu.append(heard.answers / used)
        shares.append(used / heard.seconds)
    stand.add("tokenizer + engine alone", engines, "rows/cpu-s")
    stand.add("HTTP, durable answers", rates, "answers/s")
    stand.add("of the core, the server had", shares, "")
    ratios = [rate / row for rate, row in zip(rates, engines, strict=True)]
    stand.add("HTTP answers/s over engine rows/cpu-s", ratios, "x", at_least(0.75))
    ratios = [rate / row for rate, row in zip(per_cpu, engines, strict=True)]
    stand.add("HTTP answers per cpu-s of the server over engine rows/cpu-s", ratios, "x")
    return float(np.median(rates))


def delays(stand: Stand, server: Server, rate: float) -> None:
    """p99 of fixed arrivals at 50 % and 70 % of the throughput, over the median time of a batch."""
    seconds = 3.0 if stand.quick else DELAY_SECONDS
    for share, target in ((0.5, at_most(8.0)), (0.7, None)):
        over, p50, p99, took = list[float](), list[float](), list[float](), list[float]()
        for number in range(3):
            due = _moments(rate * share, seconds, number)
            heard = arrivals(server.port, stand.requests(len(due)), due)
            _all_answered(heard)
            _, batch = server.batch()
            took.append(1000 * batch)
            p50.append(1000 * float(np.median(heard.delays)))
            p99.append(1000 * heard.p99())
            over.append(heard.p99() / batch)
        at = f"at {100 * share:.0f} % of the load"
        stand.add(f"median time of a batch {at}", took, "ms")
        stand.add(f"p50 {at}", p50, "ms")
        stand.add(f"p99 {at}", p99, "ms")
        stand.add(f"p99 {at} over the median time of a batch", over, "x", target)


def noisy(stand: Stand, server: Server, rate: float) -> None:
    """p99 of the others while one channel asks ten times its quota, over their p99 without it.

    The quota is of a day, and what the channel asks in these seconds is ten times that. It gets what its pace
    allows (`headrace.channels.quotas`) and is refused the rest.
    """
    seconds = 3.0 if stand.quick else DELAY_SECONDS
    ratios, answered, refused = list[float](), 0, 0
    quota = 0
    for number in range(3):
        quota += int(NOISY_SHARE * rate * seconds)
        stand.limit(quota)
        time.sleep(0.5)
        # The first question after an edit has the recipe read again: that is not what is measured here.
        _all_answered(closed(server.port, stand.requests(32), 1, 5.0))
        calm = _moments(0.5 * rate, seconds, 10 + number)
        loud = _moments(10 * NOISY_SHARE * rate, seconds, 20 + number)
        due = np.concatenate([calm, loud])
        order = np.argsort(due, kind="stable")
        is_loud = np.arange(len(due))[order] >= len(calm)
        owners = np.where(is_loud, NOISY, stand.owners(len(due), 30 + number)).tolist()
        without = arrivals(server.port, stand.requests(len(calm)), calm)
        _all_answered(without)
        mixed = [stand.ask(o, text) for o, text in zip(owners, stand.next(len(due)), strict=True)]
        heard = arrivals(server.port, mixed, due[order])
        if heard.statuses.keys() - {200, 429} or not np.all(heard.answered[~is_loud] == 200):
            raise RuntimeError(f"unexpected statuses: {heard.statuses}")
        refused += heard.statuses[429]
        answered += int(np.sum(heard.answered[is_loud] == 200))
        ratios.append(heard.p99(~is_loud) / without.p99())
    stand.add("answers to the channel at ten times its quota", [float(answered)], "")
    stand.add("refusals of the channel at ten times its quota (429)", [float(refused)], "")
    stand.add("p99 of the others, one channel at ten times its quota", ratios, "x", at_most(1.2))


def two_workers(stand: Stand) -> None:
    """Answers a second of two workers on both cores, which the client shares."""
    cores = [stand.server_core, stand.client_core]
    with serving(stand.project, cores, "--workers", "2") as server:
        _warm(stand, server)
        seconds = 1.0 if stand.quick else ROUND_SECONDS
        heard = [closed(server.port, stand.requests(12_000), BUSY, seconds) for _ in range(3)]
    stand.add(
        "two workers on two cores, the client on one of them",
        [h.answers / h.seconds for h in heard],
        "answers/s",
    )


def _moments(rate: float, seconds: float, seed: int) -> np.ndarray:
    """Moments of a Poisson process."""
    gaps = np.random.default_rng([7, seed]).exponential(1 / rate, int(rate * seconds))
    return 0.1 + np.cumsum(gaps)


def _warm(stand: Stand, server: Server) -> None:
    """Let the server see every key once."""
    owners = range(NOISY + 1, stand.count)
    each = [stand.ask(owner, text) for owner, text in zip(owners, stand.next(len(owners)), strict=True)]
    heard = closed(server.port, each, 32, 2.0 if stand.quick else 4.0)
    _all_answered(heard)


def _all_answered(heard: Heard) -> None:
    if set(heard.statuses) != {200}:
        raise RuntimeError(f"unexpected statuses: {heard.statuses}")


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of HTTP."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("This benchmark needs two cores: one for the server and one for the client.")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        stand = Stand(options.data, folder, command, options.quick, cores[-1], cores[0])
        engine = Engine(stand.channels.bank(), remembered=0)
        assert stand.keys
        os.sched_setaffinity(0, {stand.client_core})
        if not options.asleep:
            stack.enter_context(awake([stand.server_core]))
        wanted = options.only or PARTS
        with serving(stand.project, [stand.server_core]) as server:
            _warm(stand, server)
            rate = throughput(stand, server, engine)
            if "delays" in wanted:
                delays(stand, server, rate)
            if "noisy" in wanted:
                noisy(stand, server, rate)
            if "peers" in wanted:
                compare(stand, server)
        os.sched_setaffinity(0, cores)
        if "workers" in wanted:
            two_workers(stand)
    return stand.figures


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument(
        "--folder", type=Path, help="where the store is made; a disk, since answers are synced"
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="one part, after the throughput")
    parser.add_argument("--asleep", action="store_true", help="let the server's core sleep between requests")


if __name__ == "__main__":
    sys.exit(main("http", measure, arguments))
