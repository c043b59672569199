"""The peers of `benchmarks.training`: run one at a time, each in its own environment, and kept in a file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environments import Peer, PeerFailed, PeerMissing, versions
from benchmarks.figures import processor
from benchmarks.training_sets import CHANNELS, SETS, Set, channels, parts_of_peer, write_rows
from headrace.models.base import resolve
from headrace.tuning.train import hold_out

RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
ENVIRONMENTS = {
    "peft_tuned": "peft_tuned",
    "trainer_peft": "peft_tuned",
    "sentence_head": "sentence_head",
    "setfit": "setfit",
}
"""Script -> environment."""
Say = Callable[[str], object]
Asked = Callable[[str, Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """A peer's setting on a set: median cpu-seconds, mean accuracies in percent, over `n` seeds.

    `chosen` says whether validation preferred it to its siblings; `swept` has their validation accuracies.
    """

    peer: str
    set: str
    setting: str
    cpu_s: float
    validation: float
    test: float
    n: int
    chosen: bool = True
    swept: Mapping[str, float] | None = None

    @property
    def said(self) -> str:
        """The peer and its setting."""
        return f"{self.peer}, {self.setting}" if self.setting else self.peer


def read_runs(path: Path) -> list[Run]:
    """The runs in a file; none where there is none."""
    if not path.is_file():
        return []
    return [Run(**run) for run in json.loads(path.read_text("utf-8"))["runs"]]


def best_of(runs: Sequence[Run], peer: str) -> Run | None:
    """Of a peer's settings the one of the best mean test accuracy: the better counts."""
    found = [run for run in runs if run.peer == peer and run.chosen]
    return max(found, key=lambda run: run.test) if found else None


def timed_channels(runs: Sequence[Run]) -> float | None:
    """cpu-seconds of a PEFT run for a channel, mean over the ten after the first."""
    costs = [next((r.cpu_s for r in runs if r.set == channel_name(n)), None) for n in range(len(CHANNELS))]
    known = [cost for cost in costs if cost is not None]
    counts = [count - (number == 0) for number, (_, _, count) in enumerate(CHANNELS)]
    return float(np.average(known, weights=counts)) if len(known) == len(CHANNELS) else None


def channel_name(number: int) -> str:
    """What a channel's runs are called."""
    return f"channel of {CHANNELS[number][0].partition('/')[0]}"


def run_peers(data: Path, target: Path, bases: Path, say: Say) -> None:
    """Run every peer, one at a time on one core, and write what they did; missing ones are said."""
    runs: list[Run] = []
    missing: list[str] = []
    with tempfile.TemporaryDirectory() as folder:

        def asked(peer: str, what: Mapping[str, Any]) -> dict[str, Any]:
            with Peer(ENVIRONMENTS[peer], peer, threads=1, say=say) as process:
                answer = process.ask({"do": "run", **what})
            say(f"{peer} {what}: {answer}")
            return answer

        for jobs in (
            _jobs(data, Path(folder), bases, asked),
            _channel_jobs(data, Path(folder), bases, asked),
        ):
            for name, job in jobs:
                try:
                    runs += job()
                except (PeerMissing, PeerFailed) as error:
                    missing.append(f"{name}: {str(error).strip().splitlines()[-1]}")
                write_runs(target, runs, missing)


def write_runs(path: Path, runs: Sequence[Run], missing: Sequence[str]) -> None:
    """Keep runs with the machine, the date and the peers' versions."""
    kept = {
        "processor": processor(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: versions(name) for name in sorted(set(ENVIRONMENTS.values()))},
        "missing": list(missing),
        "runs": [asdict(run) for run in runs],
    }
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


Jobs = list[tuple[str, Callable[[], list[Run]]]]


def _jobs(data: Path, folder: Path, bases: Path, asked: Asked) -> Jobs:
    jobs: Jobs = []
    for one in SETS:
        base = resolve(one.base, bases)
        path = write_rows(folder / f"{one.name}.json", *parts_of_peer(data, one))
        common = {"rows": str(path), "base": str(base.path), "before": base.prefix}
        large = base.layers > 6
        tops = (base.layers // 3,) if large else (2, None)
        for top in tops:
            jobs.append((f"peft_tuned on {one.name}", _loop(one, common, top, 3 if large else 4, asked)))
        jobs.append((f"sentence_head on {one.name}", _plain("sentence_head", one, common, asked)))
        if one.name == "banking77":
            seeded = common | {"seed": 0}
            jobs.append((f"trainer_peft on {one.name}", _plain("trainer_peft", one, seeded, asked)))
            few = seeded | {"shots": 8, "pairs": 5}
            jobs.append((f"setfit on {one.name}", _plain("setfit", one, few, asked, "8 rows a label")))
    return jobs


def _loop(
    one: Set, common: Mapping[str, Any], top: int | None, epochs: int, asked: Asked
) -> Callable[[], list[Run]]:
    """Sweep the rate on one seed, then every seed at the rate that validation likes best."""

    def job() -> list[Run]:
        what = dict(common) | {"top": top, "epochs": epochs, "batch": 32}
        swept = {
            rate: asked("peft_tuned", what | {"lr": rate, "seed": 0, "judge": False})["validation"]
            for rate in RATES
        }
        best = max(swept, key=lambda rate: swept[rate])
        found = [asked("peft_tuned", what | {"lr": best, "seed": seed, "judge": True}) for seed in one.seeds]
        layers = "all layers" if top is None else f"top {top} layers"
        return [_run("peft_tuned", one.name, f"{layers}, rate {best:g}", found, swept)]

    return job


def _plain(
    peer: str, one: Set, common: Mapping[str, Any], asked: Asked, setting: str = ""
) -> Callable[[], list[Run]]:
    return lambda: [_run(peer, one.name, setting, [asked(peer, dict(common) | {"judge": True})])]


def _channel_jobs(data: Path, folder: Path, bases: Path, asked: Asked) -> Jobs:
    """A PEFT run of the top 2 layers for one channel of each source."""
    base, every, jobs, at = resolve(SETS[0].base, bases), list(channels(data)), [], 0
    for number, (_, _, count) in enumerate(CHANNELS):
        learned, held = hold_out(every[at], 0.1, 0)
        path = write_rows(folder / f"channel-{number}.json", learned, held, held)
        what = {"rows": str(path), "base": str(base.path), "before": base.prefix, "top": 2, "lr": 4e-3}
        what |= {"epochs": 4, "batch": 32, "seed": 0, "judge": False}
        jobs.append((channel_name(number), _channel(number, what, asked)))
        at += count
    return jobs


def _channel(number: int, what: Mapping[str, Any], asked: Asked) -> Callable[[], list[Run]]:
    def job() -> list[Run]:
        answer = asked("peft_tuned", what)
        return [_run("peft_tuned", channel_name(number), "top 2 layers", [answer | {"test": 0.0}])]

    return job


def _run(
    peer: str,
    name: str,
    setting: str,
    found: Sequence[Mapping[str, float]],
    swept: Mapping[float, float] | None = None,
) -> Run:
    cpu, validation, test = ([one[key] for one in found] for key in ("cpu_s", "validation", "test"))
    said = None if swept is None else {f"{rate:g}": round(value, 2) for rate, value in swept.items()}
    return Run(
        peer,
        name,
        setting,
        round(float(np.median(cpu)), 1),
        round(float(np.mean(validation)), 2),
        round(float(np.mean(test)), 2),
        len(found),
        swept=said,
    )
