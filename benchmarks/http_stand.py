"""A project of synthetic channels behind `headrace serve`, on a core of its own, for benchmarks.http."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import httpx2
import numpy as np

from benchmarks.client import request
from benchmarks.figures import Figure
from benchmarks.synthetic import (
    TASK,
    Channels,
    artifacts_of,
    channel,
    make_channels,
    read_texts,
    write_project,
)
from benchmarks.timing import Target, median_figure
from headrace.models.base import BaseFolder, resolve

BASE = "all-MiniLM-L6-v2"
NOISY = 0  # the number of the channel that asks too much
ROUNDS = 7


@dataclass
class Server:
    """A server process over a project, and what it says of itself."""

    process: subprocess.Popen[str]
    port: int

    def cpu(self) -> float:
        """Cpu-seconds that it has used, its workers included."""
        ticks = 0
        for pid in [self.process.pid, *children(self.process.pid)]:
            fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def batch(self) -> tuple[float, float]:
        """Median rows and seconds of its last thousand batches."""
        text = httpx2.get(f"http://127.0.0.1:{self.port}/metrics").text
        values = dict(re.findall(r'headrace_batch_(\w+)\{quantile="0.5"\} (\S+)', text))
        return float(values["rows"]), float(values["seconds"])


def children(pid: int) -> list[int]:
    """The processes that `pid` started."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for found in lists for child in found.read_text("ascii").split()]


def pin_all(pids: Sequence[int], cores: Sequence[int]) -> None:
    """Let every thread of some processes run on `cores` alone; threads to come follow those that start them."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


@contextmanager
def serving(project: Path, cores: Sequence[int], *more: str) -> Iterator[Server]:
    """`headrace serve`, pinned to some cores once it listens.

    Not before: ONNX Runtime that is loaded while its process may use one core alone takes a third longer for
    each row ever after.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    process = subprocess.Popen(
        [sys.executable, "-m", "headrace", "serve", "--port", "0", "-C", str(project), *more],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )
    os.sched_setaffinity(0, before)
    try:
        assert process.stderr is not None
        found = None
        while found is None:
            line = process.stderr.readline()
            if not line:
                raise RuntimeError("the server did not start")
            found = re.search(r"http://[\d.]+:(\d+)", line)
        pin_all([process.pid, *children(process.pid)], cores)
        yield Server(process, int(found[1]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def awake(cores: Sequence[int]) -> Iterator[None]:
    """Keep cores from sleeping, at the lowest priority that there is."""
    code = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"
    spins = [subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", code]) for core in cores]
    try:
        yield
    finally:
        for spin in spins:
            spin.kill()
            spin.wait()


@dataclass
class Stand:
    """The project, its keys and texts, and what was measured so far."""

    data: Path
    folder: Path
    command: str
    quick: bool
    server_core: int
    client_core: int
    figures: list[Figure] = field(default_factory=list)
    sent: int = 0

    @property
    def count(self) -> int:
        """Channels with an adapter of their own."""
        return 64 if self.quick else 1024

    @property
    def rounds(self) -> int:
        """Rounds of engine and HTTP."""
        return 3 if self.quick else ROUNDS

    @cached_property
    def texts(self) -> list[str]:
        """What is asked, in a random order, each once."""
        texts = read_texts(self.data) + read_texts(self.data, split="train")
        return [texts[i] for i in np.random.default_rng(1).permutation(len(texts))]

    @cached_property
    def base(self) -> BaseFolder:
        """The base of all channels and peers."""
        return resolve(BASE, self.folder)

    @cached_property
    def channels(self) -> Channels:
        """Adapters and releases of all channels."""
        folder, learned = artifacts_of(self.project), read_texts(self.data, split="train")
        return make_channels(folder, self.base, "joint", learned, count=self.count, calibration=learned[:512])

    @property
    def project(self) -> Path:
        """The project's folder."""
        return self.folder / "project"

    @cached_property
    def keys(self) -> list[str]:
        """A key of each channel, made with the project."""
        project = write_project(self.project, self.channels)
        found = [project.new_key(channel(number))[1] for number in range(self.count)]
        project.close()
        return found

    def limit(self, quota: int) -> None:
        """Give the noisy channel a daily quota."""
        path = self.project / "headrace.yaml"
        line = f"  {channel(NOISY)}: {{tasks: [{TASK}]"
        text = re.sub(re.escape(line) + ".*", f"{line}, daily_quota: {quota}}}", path.read_text("utf-8"))
        path.write_text(text, "utf-8")

    def owners(self, count: int, seed: int) -> list[int]:
        """Which channel asks, the noisy one left out."""
        drawn = np.random.default_rng(seed).integers(NOISY + 1, self.count, count)
        return [int(one) for one in drawn]

    def next(self, count: int) -> list[str]:
        """The next texts; none comes again before all others have."""
        start, self.sent = self.sent, self.sent + count
        return [self.texts[at % len(self.texts)] for at in range(start, start + count)]

    def requests(self, count: int) -> list[bytes]:
        """Requests of random channels about the next texts."""
        owners = self.owners(count, self.sent)
        return [self.ask(owner, text) for owner, text in zip(owners, self.next(count), strict=True)]

    def ask(self, owner: int, text: str) -> bytes:
        """A request of one channel about one text."""
        body = json.dumps({"text": text}, ensure_ascii=False).encode()
        return request("/v1/predict", body, self.keys[owner])

    def add(self, name: str, values: Sequence[float], unit: str, target: Target | None = None) -> None:
        """Keep the median of some rounds."""
        judged = not self.quick
        self.figures.append(median_figure(name, values, unit, self.command, target, judged=judged))
