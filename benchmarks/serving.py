"""What a row costs to answer, beside the peers that a user would pick instead, on one pinned core.

Rows per cpu-second of the whole way, tokenizer to probabilities, with 1,024 channels each on an adapter of its
own, drawn at random into every batch; nothing is remembered between rows. Sides take turns in paired rounds.
Texts are BANKING77's, cut to exactly 12 or 64 tokens (special ones included) where a figure says so.
`--only` runs some parts; `--quick` runs fewer channels and rounds. Peers run in environments of their own
(`python -m benchmarks.environments`); one that cannot be had is named with the reason.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import precision, products
from benchmarks.environments import Peer, PeerFailed, PeerMissing
from benchmarks.figures import Figure, data_argument, main
from benchmarks.synthetic import LONGEST, TASK, Channels, channel, cut_texts, make_channels, read_texts
from benchmarks.timing import (
    ROUNDS,
    Target,
    at_least,
    cpu_seconds,
    median_figure,
    paired,
    pin,
    ratios,
    significant,
)
from headrace.models.base import BaseFolder, resolve
from headrace.serving.engine import Ask, Engine

BASE = "all-MiniLM-L6-v2"
PARTS = ("peers", "products", "bank", "peft", "precision")
REAL = 0  # tokens of a row as it is


@dataclass(frozen=True)
class Shape:
    """Rows asked at once, their tokens, and the rows of one round."""

    batch: int
    tokens: int
    rows: int

    def __str__(self) -> str:
        return f"{self.batch} x {self.tokens or 'real lengths'}"


SHAPES = (Shape(1, 12, 512), Shape(32, 12, 1024), Shape(1, 64, 192), Shape(32, 64, 256))
REAL_SHAPES = (Shape(1, REAL, 512), Shape(32, REAL, 1024))
KINDS = {"joint": "joint heads", "qv": "heads + q,v top-2", "all": "heads + all-linear top-2"}
BANK_TARGETS = {"joint": (0.97, 0.95), "qv": (0.96, 0.94), "all": (0.90, 0.84)}
OURS = "headrace"
PEERS = {
    "transformers_pipeline": "transformers pipeline",
    "sentence_onnx": "sentence-transformers int8",
    "openvino_int8": "OpenVINO int8",
}
PEER_TARGETS = {(1, 12): {"transformers pipeline": 15.0, "sentence-transformers int8": 2.5}}
PEFT_ADAPTERS, PEFT_SECONDS = (16, 1024), 150.0
PEFT_TARGETS = {(1, 12): 30.0, (32, 12): 9.0, (32, 64): 7.0}


@dataclass
class Stand:
    """What all parts share: the base, the texts, where files go, how much is run."""

    data: Path
    folder: Path
    command: str
    core: int
    quick: bool
    method: str

    @cached_property
    def base(self) -> BaseFolder:
        """The base of all channels and peers."""
        return resolve(BASE, self.folder)

    @property
    def rounds(self) -> int:
        """Paired rounds of a figure."""
        return 3 if self.quick else ROUNDS

    @property
    def count(self) -> int:
        """Channels with an adapter of their own."""
        return 64 if self.quick else 1024

    @cached_property
    def learned(self) -> list[str]:
        """Texts that calibrate, and whose n-grams the heads know."""
        return read_texts(self.data, split="train")

    @cached_property
    def asked(self) -> list[str]:
        """Texts that are asked, in a random order."""
        texts = read_texts(self.data)
        return [texts[i] for i in np.random.default_rng(1).permutation(len(texts))]

    def texts(self, shape: Shape) -> list[str]:
        """The rows of a round: distinct texts of that many tokens."""
        rows = max(shape.batch, shape.rows // 4) if self.quick else shape.rows
        if shape.tokens == REAL:
            return self.asked[:rows]
        return cut_texts(self.base.tokenizer(LONGEST), self.asked, shape.tokens, rows)

    def channels(self, kind: str, *, merged: bool = False) -> Channels:
        """As many channels as the run asks, or one whose delta is merged."""
        folder = self.folder / f"{kind}{'-merged' if merged else ''}"
        return make_channels(
            folder,
            self.base,
            kind,
            self.learned,
            count=self.count,
            calibration=self.learned[:512],
            merged=merged,
        )

    def engine(self, kind: str, *, merged: bool = False) -> Engine:
        """An engine on those channels that remembers nothing."""
        return Engine(self.channels(kind, merged=merged).bank(), remembered=0)

    def asks(self, texts: Sequence[str], count: int) -> list[Ask]:
        """One ask a text, of channels in random order, each once before one comes again."""
        random = np.random.default_rng(2)
        order = np.concatenate([random.permutation(count) for _ in range(-(-len(texts) // count))])
        return [Ask(TASK, channel(int(c)), text) for c, text in zip(order, texts, strict=False)]

    def figure(self, name: str, values: Sequence[float], unit: str, target: Target | None = None) -> Figure:
        """A median of this run; a quick one leaves open whether a target holds."""
        return median_figure(name, values, unit, self.command, target, judged=not self.quick)


def ours(engine: Engine, asks: Sequence[Ask], batch: int) -> Callable[[], float]:
    """What our engine takes for the asks, `batch` at once."""

    def run() -> None:
        for start in range(0, len(asks), batch):
            engine.answer(asks[start : start + batch])

    return partial(cpu_seconds, run)


def theirs(peer: Peer, name: str, asked: dict[str, object]) -> dict[str, Callable[[], float]]:
    """The peer's sides, one a variant that it chooses on the first of the texts; each says what it took."""
    some = {key: value[:32] if isinstance(value, list) else value for key, value in asked.items()}
    variants = peer.ask({"do": "choose", **some})["variants"]
    return {
        f"{name}, {variant}": partial(_cost, peer, {"do": "measure", **asked, "variant": variant})
        for variant in variants
    }


def _cost(peer: Peer, asked: dict[str, object]) -> float:
    return float(peer.ask(asked)["cpu_s"])


@contextmanager
def opened(stand: Stand, name: str, **asked: object) -> Iterator[Peer | None]:
    """A peer whose model is open; None, and the reason on the other stream, where it cannot be had."""
    with ExitStack() as stack:
        peer: Peer | None = None
        try:
            peer = stack.enter_context(Peer(name, cores=[stand.core], say=say))
            say(f"{name}: {peer.ask({'do': 'open', 'model': str(stand.base.path), **asked})}")
        except (PeerMissing, PeerFailed) as error:
            say(f"left out: {error}")
            peer = None
        yield peer


def peers(stand: Stand) -> list[Figure]:
    """Beside transformers' pipeline, sentence-transformers' int8 and OpenVINO's int8."""
    folder, figures = str(stand.folder / "peers"), list[Figure]()
    learned = stand.learned[::4]
    opening: dict[str, dict[str, object]] = {
        "transformers_pipeline": {"labels": 77},
        "sentence_onnx": {"folder": folder, "texts": learned, "classes": classes(learned)},
        "openvino_int8": {"folder": folder, "texts": stand.learned[:512], "labels": 77},
    }
    with ExitStack() as stack:
        found = {name: stack.enter_context(opened(stand, name, **asked)) for name, asked in opening.items()}
        engine = stand.engine("joint")
        for shape in (SHAPES[0], SHAPES[1], SHAPES[3], *REAL_SHAPES):
            texts = stand.texts(shape)
            sides = {OURS: ours(engine, stand.asks(texts, stand.count), shape.batch)}
            for name, peer in found.items():
                if peer is not None:
                    sides |= theirs(peer, PEERS[name], {"texts": texts, "batch": shape.batch})
            bounds = PEER_TARGETS.get((shape.batch, shape.tokens), {})
            figures += beside(stand, shape, len(texts), paired(sides, stand.rounds), bounds)
    return figures


def classes(texts: Sequence[str]) -> list[str]:
    """77 classes in turn: what a head of that many classes has learned does not change its time."""
    return [f"label-{i % 77:03}" for i in range(len(texts))]


def beside(
    stand: Stand, shape: Shape, rows: int, costs: dict[str, list[float]], bounds: dict[str, float]
) -> list[Figure]:
    """Rows per cpu-second of each side, and ours over each other's; a peer's best variant is the one judged."""
    figures = [
        stand.figure(f"{name}, {shape}", [rows / cost for cost in found], "rows/cpu-s")
        for name, found in costs.items()
    ]
    others = {name: statistics.median(found) for name, found in costs.items() if name != OURS}
    for name in others:
        bound = bounds.get(name.partition(",")[0])
        rivals = [other for other in others if other.partition(",")[0] == name.partition(",")[0]]
        best = bound is not None and name == min(rivals, key=others.__getitem__)
        target = at_least(bound) if best and bound is not None else None
        title = f"headrace against {name}, {shape}"
        figures.append(stand.figure(title, ratios(costs[name], costs[OURS]), "x", target))
    return figures


def bank(stand: Stand) -> list[Figure]:
    """1,024 adapters in random mixed batches against one merged model of the same format."""
    figures = []
    for kind, name in KINDS.items():
        many, one = stand.engine(kind), stand.engine(kind, merged=True)
        middles = []
        for shape in SHAPES:
            texts = stand.texts(shape)
            costs = paired(
                {
                    "bank": ours(many, stand.asks(texts, stand.count), shape.batch),
                    "merged": ours(one, stand.asks(texts, 1), shape.batch),
                },
                stand.rounds,
            )
            figure = stand.figure(
                f"{name}, {stand.count} adapters, {shape}, over one merged model",
                ratios(costs["merged"], costs["bank"]),
                "of its speed",
            )
            middles.append(figure.value)
            figures.append(figure)
        for what, value, bound in zip(
            ("median", "worst"), (float(np.median(middles)), min(middles)), BANK_TARGETS[kind], strict=True
        ):
            holds = None if stand.quick else value >= bound
            title = f"{name}, {stand.count} adapters, {what} shape, over one merged model"
            target = str(at_least(bound))
            figures.append(
                Figure(
                    title,
                    significant(value),
                    "of its speed",
                    n=len(SHAPES),
                    target=target,
                    holds=holds,
                    command=stand.command,
                )
            )
    return figures


def peft(stand: Stand) -> list[Figure]:
    """q,v top-2 beside PEFT's mixed batches with 16 adapters, which it serves fastest, and with more."""
    figures, engine = list[Figure](), stand.engine("qv")
    for many in PEFT_ADAPTERS[:1] if stand.quick else PEFT_ADAPTERS:
        with opened(stand, "peft_mixed", adapters=many, labels=77, seconds=PEFT_SECONDS) as peer:
            if peer is None:
                continue
            held = int(peer.ask({"do": "count"})["adapters"])
            name = f"PEFT with {held} adapters mixed"
            for shape in (SHAPES[0], SHAPES[1], SHAPES[3]):
                texts = stand.texts(shape)[: 256 if many < 1000 else 64]  # there it takes 40 ms a row
                picks = np.random.default_rng(3).integers(0, held, len(texts)).tolist()
                asked = {"texts": texts, "adapters": picks, "batch": shape.batch}
                sides = {OURS: ours(engine, stand.asks(texts, stand.count), shape.batch)}
                sides |= theirs(peer, name, asked)
                bound = PEFT_TARGETS[shape.batch, shape.tokens]
                bounds = {name: bound} if many == PEFT_ADAPTERS[0] else {}
                figures += beside(stand, shape, len(texts), paired(sides, min(stand.rounds, 7)), bounds)[1:]
    return figures


def product_share(stand: Stand) -> list[Figure]:
    """How much of a batch is the int8 products of its layers."""
    channels, shape = stand.channels("joint"), SHAPES[3]
    engine, texts = Engine(channels.bank(), remembered=0), stand.texts(shape)[:32]
    alone = products.of(channels.path(channels.graph["graph.onnx"]).read_bytes(), 32 * 64)
    repeats = 3 if stand.quick else 8
    asks = stand.asks(texts, stand.count) * repeats
    sides = {"batch": ours(engine, asks, 32)}
    sides |= {name: partial(cpu_seconds, partial(run, repeats)) for name, run in alone.items()}
    costs = paired(sides, stand.rounds)
    least = [min(costs[name][i] for name in alone) for i in range(stand.rounds)]
    return [
        stand.figure(
            f"int8 products alone over the batch, {shape}",
            ratios(least, costs["batch"]),
            "of its time",
            at_least(0.6),
        )
    ]


def precisions(stand: Stand) -> list[Figure]:
    """float32's speed, and int8's loss of accuracy."""
    texts = {f"{shape}": stand.texts(shape) for shape in (SHAPES[3], REAL_SHAPES[1])}
    speeds = precision.tokens_a_second(BASE, stand.folder, texts, stand.command, stand.rounds)
    lost = precision.accuracy_lost(
        stand.data, stand.folder, stand.command, quick=stand.quick, method=stand.method
    )
    return speeds + lost


def say(line: str) -> None:
    """Progress, on the other stream."""
    print(line, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    parts = {
        "peers": peers,
        "products": product_share,
        "bank": bank,
        "peft": peft,
        "precision": precisions,
    }
    figures = list[Figure]()
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
        folder = options.cache or Path(scratch)
        stand = Stand(options.data, folder, command, options.core, options.quick, options.method)
        before = pin(options.core)
        try:
            for name in options.only or PARTS:
                say(f"part {name}")
                figures += parts[name](stand)
        finally:
            os.sched_setaffinity(0, before)
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--cache", type=Path, help="a folder that keeps models and features between runs")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core pinned")
    parser.add_argument("--method", default="head", help="method of training in the part precision")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part")


if __name__ == "__main__":
    sys.exit(main("serving", measure, arguments))
