"""Adapters are released while clients ask: no answer fails, is a mixture, or is older than it may be."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from serving_parts import SITES, Shop, tiny_base, tiny_delta, tiny_head

from headrace.errors import ArtifactError, NotServed
from headrace.serving.bank import Bank
from headrace.serving.batcher import Batcher
from headrace.serving.engine import Ask, Engine, Scored

LABELS = ["a", "b", "c"]
TEXTS = [f"w{i} w{i + 1} w{(i * 7) % 100}" for i in range(40)]
CHANNELS = ("shop", "forum")


def banks_of(shop: Shop, folder: Path, many: int) -> list[Bank]:
    """`many` banks, each releasing a new adapter to both channels; forum's have a delta."""
    base, banks = tiny_base(folder / "base"), list[Bank]()
    for version in range(many):
        for channel in CHANNELS:
            adapted, name = channel == "forum", f"{channel}-{version}"
            delta = tiny_delta(version) if adapted else None
            head = tiny_head(base, LABELS, version, delta=adapted)
            shop.add(name, base, head, channel=channel, delta=delta, sites=SITES if adapted else ())
            shop.release(f"r-{name}", name, channel)
        banks.append(shop.bank(banks[-1] if banks else None))
    return banks


def again(shop: Shop, banks: list[Bank], many: int) -> list[Bank]:
    """`many` further banks that release the adapters of `banks` in turn; release ids begin with a number."""
    found = [banks[-1]]
    for number in range(many):
        for channel in CHANNELS:
            shop.release(f"{number:03d}-{channel}", f"{channel}-{number % len(banks)}", channel)
        found.append(shop.bank(found[-1]))
    return found[1:]


def expected(banks: list[Bank]) -> dict[tuple[str, str], Scored]:
    """Adapter id and text -> the answer, each computed alone."""
    found = {}
    for bank in banks:
        for channel in CHANNELS:
            for text in TEXTS:
                answer = Engine(bank, remembered=0).answer([Ask("intent", channel, text)])[0]
                assert isinstance(answer, Scored)
                found[answer.adapter, text] = answer
    return found


class Client(threading.Thread):
    """Asks in small bursts until told to stop; keeps each answer with the oldest version it may have."""

    def __init__(self, batcher: Batcher, version: list[int], stop: threading.Event, seed: int) -> None:
        super().__init__()
        self.batcher, self.version, self.stop, self.random = (
            batcher,
            version,
            stop,
            np.random.default_rng(seed),
        )
        self.heard: list[tuple[Ask, int, Scored]] = []
        self.failed: list[BaseException] = []

    def run(self) -> None:
        while not self.stop.is_set():
            burst = []
            for _ in range(int(self.random.integers(1, 6))):
                ask = Ask("intent", str(self.random.choice(CHANNELS)), str(self.random.choice(TEXTS)))
                burst.append((ask, self.version[0], self.batcher.submit(ask)))
            for ask, least, future in burst:
                try:
                    self.heard.append((ask, least, future.result(timeout=30)))
                except Exception as error:
                    self.failed.append(error)


def test_releases_are_swapped_in_under_load(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "store")
    adapters = banks_of(shop, tmp_path, 6)
    right, banks = expected(adapters), again(shop, adapters, 500)
    batcher = Batcher(Engine(banks[0], remembered=16), batch=8)
    version, stop = [0], threading.Event()
    clients = [Client(batcher, version, stop, seed) for seed in range(4)]
    for client in clients:
        client.start()
    for number, bank in enumerate(banks):
        seen = batcher.counts.rows
        batcher.swap(bank)
        version[0] = number
        while batcher.counts.rows < seen + 10 and not any(client.failed for client in clients):
            stop.wait(0.001)
    stop.set()
    for client in clients:
        client.join()
    batcher.stop()
    heard = [entry for client in clients for entry in client.heard]
    assert [client.failed for client in clients] == [[], [], [], []]
    assert len(heard) == batcher.counts.rows >= 5_000
    assert batcher.counts.failed == batcher.counts.waiting == 0
    for ask, least, answer in heard:
        release, channel = answer.release.split("-")
        assert channel == ask.channel
        assert answer.adapter == f"{channel}-{int(release) % 6}"
        own = right[answer.adapter, ask.text]
        assert answer.label == own.label
        assert np.abs(answer.probabilities - own.probabilities).max() < 1e-5
        assert int(release) >= least
    assert {answer.adapter for _, _, answer in heard} == {f"{c}-{v}" for c in CHANNELS for v in range(6)}


def test_the_next_bank_keeps_what_did_not_change(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "store")
    (before,) = banks_of(shop, tmp_path, 1)
    forum, shops = before.load("forum-0"), before.load("shop-0")
    shop.add("newer", tiny_base(tmp_path / "base"), tiny_head(tiny_base(tmp_path / "base"), LABELS, 9))
    shop.release("r-newer", "newer", "shop")
    after = shop.bank(before)
    assert set(after.sources) == {"newer", "forum-0"}
    assert after.load("forum-0") is forum
    assert after.load("newer").encoder is shops.encoder
    assert before.find("intent", "shop").id == "r-shop-0"
    assert after.find("intent", "shop").id == "r-newer"
    engine = Engine(before)
    engine.swap(after)
    assert "shop-0" not in after.shelf
    assert "forum-0" in after.shelf


def test_a_shared_adapter_is_loaded_once_and_serves_a_new_channel(tmp_path: Path) -> None:
    shop, base = Shop(tmp_path / "store"), tiny_base(tmp_path / "base")
    shop.add("shared", base, tiny_head(base, LABELS, 1))
    shop.release("r1", "shared", "shop")
    shop.release("r2", "shared", "forum")
    bank = shop.bank()
    assert {bank.find("intent", channel).adapter for channel in CHANNELS} == {"shared"}
    engine = Engine(bank)
    answers = engine.answer(
        [Ask("intent", "shop", "w1"), Ask("mood", "shop", "w1"), Ask("intent", "new", "w1")]
    )
    assert [type(answer) for answer in answers] == [Scored, NotServed, Scored]
    first, _, third = answers
    assert isinstance(first, Scored)
    assert isinstance(third, Scored)
    assert (first.release, third.release) == ("r1", "r2")
    assert np.array_equal(first.probabilities, third.probabilities)


def test_a_damaged_adapter_leaves_the_bank_before_it_serving(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "store")
    banks = banks_of(shop, tmp_path, 1)
    base = tiny_base(tmp_path / "base")
    shop.add("broken", base, tiny_head(base, LABELS, 5))
    shop.path(shop.adapters[-1].files["head.safetensors"]).write_bytes(b"damaged")
    shop.release("r-broken", "broken", "shop")
    with pytest.raises(ArtifactError, match="broken"):
        shop.bank(banks[0])
    shop.path(shop.adapters[-1].files["head.safetensors"]).unlink()
    with pytest.raises(ArtifactError, match=r"head\.safetensors cannot be read"):
        shop.bank(banks[0])
    assert isinstance(Engine(banks[0]).answer([Ask("intent", "shop", "w1")])[0], Scored)


def test_a_head_for_another_base_or_without_its_delta_is_refused(tmp_path: Path) -> None:
    one, two = tiny_base(tmp_path / "one"), tiny_base(tmp_path / "two", seed=1)
    engine, labels = Engine(), LABELS
    shop = Shop(tmp_path / "store")
    wrong = [
        shop.add("foreign", one, tiny_head(two, labels, 1)),
        shop.add("bare", one, tiny_head(one, labels, 1, delta=True)),
        shop.add("extra", one, tiny_head(one, labels, 1), delta=tiny_delta(1), sites=SITES),
        shop.add("sites", one, tiny_head(one, labels, 1, delta=True), delta=tiny_delta(1), sites=SITES[:1]),
    ]
    for files in wrong:
        with pytest.raises(ArtifactError):
            engine.scores(files, ["w1"])


@pytest.mark.parametrize("adapted", [False, True])
def test_a_challenger_is_judged_by_the_graph_that_will_serve_it(tmp_path: Path, adapted: bool) -> None:
    shop, base = Shop(tmp_path / "store"), tiny_base(tmp_path / "base")
    head, delta = tiny_head(base, LABELS, 3, delta=adapted), tiny_delta(3) if adapted else None
    files = shop.add("new", base, head, delta=delta, sites=SITES if adapted else ())
    done: list[int] = []
    judged = Engine().scores(files, TEXTS * 10, progress=done.append)
    assert judged.shape == (400, 3)
    assert done[-1] == 400
    shop.release("r", "new", "shop")
    served = Engine(shop.bank()).answer([Ask("intent", "shop", text) for text in TEXTS])
    rows = np.stack([answer.probabilities for answer in served if isinstance(answer, Scored)])
    assert np.abs(judged[:40] - rows).max() < 1e-5
    assert Engine().scores(files, []).shape == (0, 3)
