"""A thousand channels in one process: how soon they answer, what they occupy, and how a release comes in.

Then 10,000 channels with memory for 500, and a file of a million rows. Channels are synthetic (an adapter of
its own each, of the size and shape of a trained one); the server is `headrace serve`, in a process of its own.
`--quick` takes fewer channels and rows, `--only` runs some parts.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import traffic
from benchmarks.figures import Figure, data_argument, main
from benchmarks.residents import highest, opened
from benchmarks.synthetic import (
    TASK,
    Channels,
    artifacts_of,
    channel,
    make_channels,
    read_texts,
    write_project,
)
from benchmarks.timing import Target, at_least, at_most, median_figure, pin, ratios, significant
from headrace.models.base import resolve
from headrace.project import Project
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Ask, Engine

BASE = "all-MiniLM-L6-v2"
PARTS = ("ready", "memory", "swap", "zipf", "bulk")
EXPONENTS = (1.0, 1.2)


@dataclass
class Stand:
    """What all parts share."""

    data: Path
    folder: Path
    command: str
    core: int
    quick: bool
    rows: int

    @property
    def count(self) -> int:
        """Channels with an adapter of their own."""
        return 100 if self.quick else 1000

    @cached_property
    def learned(self) -> list[str]:
        """Texts that calibrate, and whose n-grams the heads know."""
        return read_texts(self.data, split="train")

    @cached_property
    def asked(self) -> list[str]:
        """Texts that are asked."""
        return read_texts(self.data)

    def channels(self, folder: Path, kind: str, count: int) -> Channels:
        """`count` channels whose artifacts are those of a project in `folder`."""
        base = resolve(BASE, self.folder)
        return make_channels(
            artifacts_of(folder), base, kind, self.learned, count=count, calibration=self.learned[:512]
        )

    def project(self, name: str, kind: str, count: int) -> tuple[Project, Channels]:
        """A project with `count` channels released."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        made = self.channels(folder, kind, count)
        return write_project(folder, made, memory=4096), made

    def figure(self, name: str, values: Sequence[float], unit: str, target: Target | None = None) -> Figure:
        """A median of this run; a quick one leaves open whether a target holds."""
        return median_figure(name, values, unit, self.command, target, judged=not self.quick)


def ready(stand: Stand) -> list[Figure]:
    """From the start of `headrace serve` to the first answer over HTTP."""
    project, _ = stand.project("ready", "joint", stand.count)
    _, secret = project.new_key(channel(stand.count // 2))
    project.close()
    times = [_first_answer(project.folder, secret, number) for number in range(2 if stand.quick else 7)]
    name = f"{stand.count} channels: start of the server to its first answer"
    return [stand.figure(name, times[1:], "s", at_most(3))]


def _first_answer(folder: Path, secret: str, number: int) -> float:
    """Seconds; the server is ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "headrace", "serve", "--port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answered(port, secret, f"Where is card {number}?"):
            if process.poll() is not None or time.perf_counter() - began > 120:
                raise RuntimeError("headrace serve ended, or answers nothing within two minutes")
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(30)


def _answered(port: int, secret: str, text: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/predict", json.dumps({"task": TASK, "text": text}), headers)
        status = connection.getresponse().status
    except ConnectionError:
        return False
    finally:
        connection.close()
    if status not in (200, 503):
        raise RuntimeError(f"the server answers with status {status}")
    return status == 200


def memory(stand: Stand) -> list[Figure]:
    """What a process occupies beyond one with a single channel, over the bytes of the adapters' files."""
    texts = stand.folder / "texts.json"
    texts.write_text(json.dumps(stand.asked[:1024]), "utf-8")
    figures = []
    for kind, name in (("joint", "joint heads"), ("qv", "heads + q,v top-2")):
        sizes, adapters = [], 0
        for count in (1, stand.count):
            project, made = stand.project(f"memory-{kind}-{count}", kind, count)
            project.close()
            sizes.append([_occupied(project.folder, texts) for _ in range(1 if stand.quick else 3)])
            adapters = made.bytes - adapters
            shutil.rmtree(project.folder)
        grown = [many - one for one, many in zip(*sizes, strict=True)]
        title = f"{stand.count} {name}: memory beyond one channel"
        figures += [
            stand.figure(title, [size / 2**20 for size in grown], "MiB"),
            stand.figure(
                f"{title}, over the adapters' bytes", [g / adapters for g in grown], "x", at_most(1.1)
            ),
        ]
    return figures


def _occupied(folder: Path, texts: Path) -> int:
    command = [sys.executable, "-m", "benchmarks.residents", str(folder), str(texts)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return int(json.loads(said)["bytes"])


def swap(stand: Stand) -> list[Figure]:
    """From the release of one adapter in the store to a server that answers by it, others unchanged."""
    figures = []
    for kind, name in (("joint", "joint heads"), ("qv", "heads + q,v top-2")):
        project, made = stand.project(f"swap-{kind}", kind, stand.count)
        engine, live = opened(project)
        before, releases = len(made.releases), 10 if stand.quick else 50
        made.add(releases, version=1)
        times = []
        for number in range(releases):
            project.store.history.add(made.adapters[before + number], made.releases[before + number])
            began = time.perf_counter()
            live.reload()
            times.append(1000 * (time.perf_counter() - began))
            (found,) = engine.answer([Ask(TASK, channel(number), "Where is my card?")])
            if getattr(found, "release", "") != made.releases[before + number].id:
                raise RuntimeError(f"the release of {channel(number)} was not followed")
        title = f"{stand.count} {name}: swap of one"
        figures.append(stand.figure(title, times, "ms", at_most(50)))
        figures.append(
            Figure(f"{title}, slowest", significant(max(times)), "ms", n=releases, command=stand.command)
        )
        project.close()
        shutil.rmtree(project.folder)
    return figures


def zipf(stand: Stand) -> list[Figure]:
    """Ten thousand channels with memory for five hundred, beside all in memory."""
    count, room = (500, 25) if stand.quick else (10_000, 500)
    made = stand.channels(stand.folder / "zipf", "joint", count)
    figures = list[Figure]()
    whole = Engine(made.bank(), remembered=0)
    each = sum(whole.bank.load(adapter.id).bytes for adapter in made.adapters[:100]) / 100
    small = Engine(made.bank(limit=round(room * each)), remembered=0)
    for start in range(0, count, 32):  # from now on what is not in memory has been read and checked once
        names = range(start, min(start + 32, count))
        small.answer([Ask(TASK, channel(number), "Where is my card?") for number in names])
    for exponent in EXPONENTS:
        name = f"{count:,} channels, memory for {room}, Zipf {exponent:g}"
        figures += _beside(stand, name, whole, small, count, exponent)
    return figures


def _beside(
    stand: Stand, name: str, whole: Engine, small: Engine, count: int, exponent: float
) -> list[Figure]:
    rounds, rows = (2, 300) if stand.quick else (7, 2000)
    rates: dict[str, list[float]] = {"whole": [], "small": []}
    costs: dict[str, list[float]] = {"whole": [], "small": []}
    slow: dict[str, list[float]] = {"whole": [], "small": []}
    absent = []
    engines = {"whole": whole, "small": small}
    batchers = {side: Batcher(engine) for side, engine in engines.items()}
    for number in range(-1, rounds):
        for side in sorted(engines, reverse=bool(number % 2)):
            asked = traffic.asks(stand.asked, count, exponent, rows, seed=number + 1)
            fetched = batchers[side].counts.fetched
            seconds, worked = traffic.through(batchers[side], asked)
            if side == "small" and number >= 0:
                absent.append(100 * (batchers[side].counts.fetched - fetched) / rows)
            if number >= 0:
                rates[side].append(rows / seconds)
                costs[side].append(worked / rows)
    half = statistics.median(rates["whole"]) / 2
    for number in range(rounds):
        for side in sorted(engines, reverse=bool(number % 2)):
            asked = traffic.asks(stand.asked, count, exponent, rows, seed=100 + number)
            waited, here = traffic.delays(batchers[side], engines[side], asked, half, seed=number)
            slow[side].append(1000 * float(np.percentile(waited[here], 99)))
    for batcher in batchers.values():
        batcher.stop()
    return [
        stand.figure(f"{name}: adapters fetched", absent, "% of rows"),
        stand.figure(f"{name}: all in memory", rates["whole"], "rows/s"),
        stand.figure(
            f"{name}: throughput over all in memory",
            ratios(rates["small"], rates["whole"]),
            "x",
            at_least(0.8) if exponent == EXPONENTS[0] else None,
        ),
        stand.figure(
            f"{name}: rows per cpu-second over all in memory", ratios(costs["whole"], costs["small"]), "x"
        ),
        stand.figure(f"{name}: p99 at half load, all in memory", slow["whole"], "ms"),
        stand.figure(
            f"{name}: p99 of resident channels over all in memory",
            ratios(slow["small"], slow["whole"]),
            "x",
            at_most(1.2) if exponent == EXPONENTS[0] else None,
        ),
    ]


def bulk(stand: Stand) -> list[Figure]:
    """Peak memory of `headrace predict FILE` above the loaded engine, a file ten times as long over one."""
    project, _ = stand.project("bulk", "joint", 10)
    project.close()
    peaks = {rows: _peak(stand, project.folder, rows) for rows in (100, stand.rows // 10, stand.rows)}
    engine, *grown = peaks.values()
    above = [(peak - engine) / 2**20 for peak in grown]
    target = at_most(1.2)
    ratio = above[1] / max(above[0], 1.0)
    name = f"{stand.rows:,} rows answered into a file: peak memory above the engine"
    return [
        Figure("the engine with 100 rows", significant(engine / 2**20), "MiB", command=stand.command),
        Figure(name, significant(above[1]), "MiB", n=stand.rows, command=stand.command),
        Figure(
            f"{name}, over {stand.rows // 10:,} rows",
            significant(ratio),
            "x",
            target=str(target),
            holds=None if stand.quick else target.holds(ratio),
            command=stand.command,
        ),
    ]


def _peak(stand: Stand, folder: Path, rows: int) -> int:
    """Bytes that the command occupied at most; its texts are short, alike long in each file, none twice."""
    given, out = folder / f"rows-{rows}.csv", folder / f"answers-{rows}.csv"
    with open(given, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        for number in range(rows):
            first = " ".join(stand.asked[number % len(stand.asked)].split()[:3])
            writer.writerow([f"{first} {number:07}"])
    command = [sys.executable, "-m", "headrace", "predict", str(given), "--out", str(out)]
    process = subprocess.Popen([*command, "--channel", channel(3)], cwd=folder, stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, highest(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"headrace predict ended with status {process.returncode}")
    with open(out, encoding="utf-8") as file:
        answered = sum(1 for _ in file) - 1
    if answered != rows:
        raise RuntimeError(f"{answered} of {rows} rows were answered")
    return most


def say(line: str) -> None:
    """Progress, on the other stream."""
    print(line, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    parts = {"ready": ready, "memory": memory, "swap": swap, "zipf": zipf, "bulk": bulk}
    figures = list[Figure]()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch, threadpool_limits(1):
        rows = 5_000 if options.quick else options.rows
        stand = Stand(options.data, Path(scratch), command, options.core, options.quick, rows)
        for name in options.only or PARTS:
            say(f"part {name}")
            before = pin(stand.core) if name in ("swap", "zipf") else os.sched_getaffinity(0)
            try:
                figures += parts[name](stand)
            finally:
                os.sched_setaffinity(0, before)
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--folder", type=Path, help="where projects are written and removed again")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core pinned")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the longer file")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part")


if __name__ == "__main__":
    sys.exit(main("channels", measure, arguments))
