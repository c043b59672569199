"""Adapters are released, rolled back and looked up, in both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headrace.errors import ArtifactError, Conflict, NotFound
from headrace.records import Adapter, Clock, Event, IdMaker
from headrace.release import history, promote, refuse, rollback, served
from headrace.store import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def adapter(store: Store, name: str, channel: str | None = None, task: str = "mood") -> Adapter:
    """An adapter whose files are in the store."""
    wanted = ("head.safetensors", "graph.onnx", "tokenizer.json", "base.json")
    files = {file: store.artifacts.put(f"{file} {name}".encode()) for file in wanted}
    made = Adapter(name, task, channel, "base", ("bad", "good"), files, {}, 9, 1.0, NOW)
    store.history.add(made)
    return made


def spoil(store: Store, adapter: Adapter, file: str) -> None:
    """Change one byte of an artifact on disk."""
    path = store.artifacts.path(adapter.files[file])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_rollback_to_a_damaged_adapter_is_refused(sqlite_store: Store, clock: Clock, ids: IdMaker) -> None:
    store = sqlite_store
    first = adapter(store, "one")
    adapter(store, "two")
    for name in ("one", "two"):
        promote(store, "mood", ["shop"], name, {}, clock=clock, ids=ids)
    spoil(store, first, "head.safetensors")
    with pytest.raises(ArtifactError, match="damaged"):
        rollback(store, "mood", "shop", clock=clock, ids=ids)
    assert now_serving(store) == {"shop": "two"}


def now_serving(store: Store) -> dict[str, str]:
    return {release.channel: release.adapter for release in store.history.serving()}


def test_a_release_serves_its_channels_with_its_evidence(store: Store, clock: Clock, ids: IdMaker) -> None:
    adapter(store, "one")
    adapter(store, "two")
    promote(store, "mood", ["shop", "forum"], "one", {"reason": "first"}, clock=clock, ids=ids)
    made = promote(store, "mood", {"shop": {"n": 3}}, "two", {"reason": "better"}, clock=clock, ids=ids)
    assert now_serving(store) == {"shop": "two", "forum": "one"}
    assert made[0].evidence == {"reason": "better", "n": 3}
    before = {release.id: release.adapter for release in store.history.releases()}
    assert before[str(made[0].previous)] == "one"


def test_promoting_twice_writes_one_release(store: Store, clock: Clock, ids: IdMaker) -> None:
    adapter(store, "one")
    first = promote(store, "mood", ["shop"], "one", {}, clock=clock, ids=ids)
    again = promote(store, "mood", ["shop", "forum"], "one", {}, clock=clock, ids=ids)
    assert again[0] == first[0]
    assert len(store.history.releases()) == 2


def test_an_adapter_without_its_files_is_not_released(sqlite_store: Store) -> None:
    store = sqlite_store
    whole = adapter(store, "whole")
    store.artifacts.path(whole.files["graph.onnx"]).unlink()
    bare = Adapter("bare", "mood", None, "base", ("a",), {"head.safetensors": "0" * 64}, {}, 1, 1.0, NOW)
    store.history.add(bare)
    with pytest.raises(ArtifactError, match="missing"):
        promote(store, "mood", ["shop"], "whole", {})
    with pytest.raises(ArtifactError, match=r"graph\.onnx"):
        promote(store, "mood", ["shop"], "bare", {})
    spoilt = adapter(store, "spoilt")
    spoil(store, spoilt, "graph.onnx")
    with pytest.raises(ArtifactError, match="damaged"):
        promote(store, "mood", ["shop"], "spoilt", {})
    with pytest.raises(NotFound):
        promote(store, "mood", ["shop"], "nobody", {})
    assert store.history.releases() == []


def test_an_adapter_serves_neither_another_task_nor_another_channel(sqlite_store: Store) -> None:
    adapter(sqlite_store, "own", channel="shop")
    with pytest.raises(Conflict, match="belongs to"):
        promote(sqlite_store, "mood", ["shop", "forum"], "own", {})
    with pytest.raises(Conflict, match="answers 'mood'"):
        promote(sqlite_store, "intent", ["shop"], "own", {})
    assert sqlite_store.history.releases() == []


def test_a_release_that_fails_half_way_releases_nothing(store: Store, clock: Clock, ids: IdMaker) -> None:
    adapter(store, "one")
    made = iter(["rel_1"])
    with pytest.raises(StopIteration):
        promote(store, "mood", ["shop", "forum"], "one", {}, clock=clock, ids=lambda kind: next(made))
    assert store.history.releases() == []


def test_rolling_back_again_and_again_walks_further_back(store: Store, clock: Clock, ids: IdMaker) -> None:
    for name in ("one", "two", "three", "four"):
        adapter(store, name)
    for name in ("one", "two", "three"):
        promote(store, "mood", ["shop", "forum"], name, {}, clock=clock, ids=ids)
    walked = [rollback(store, "mood", "shop", clock=clock, ids=ids).adapter for _ in range(2)]
    assert walked == ["two", "one"]
    with pytest.raises(NotFound, match="headrace history"):
        rollback(store, "mood", "shop", clock=clock, ids=ids)
    promote(store, "mood", ["shop"], "four", {}, clock=clock, ids=ids)
    assert rollback(store, "mood", "shop", clock=clock, ids=ids).adapter == "one"
    assert now_serving(store) == {"shop": "one", "forum": "three"}
    assert rollback(store, "mood", "shop", to="three", clock=clock, ids=ids).adapter == "three"
    assert rollback(store, "mood", "shop", clock=clock, ids=ids).adapter == "two"


def test_a_rollback_to_what_never_served_says_what_did(store: Store, clock: Clock, ids: IdMaker) -> None:
    with pytest.raises(NotFound, match="headrace train"):
        rollback(store, "mood", "shop")
    one, _ = adapter(store, "one"), adapter(store, "two")
    for name in ("one", "two"):
        promote(store, "mood", ["shop"], name, {}, clock=clock, ids=ids)
    with pytest.raises(NotFound, match="rel_2, rel_1"):
        rollback(store, "mood", "shop", to="nobody")
    with pytest.raises(Conflict, match="already"):
        rollback(store, "mood", "shop", to="two")
    store.artifacts.path(one.files["head.safetensors"]).unlink()
    with pytest.raises(ArtifactError):
        rollback(store, "mood", "shop")
    assert now_serving(store) == {"shop": "two"}


def test_history_tells_what_served_whom_at_a_time(store: Store, clock: Clock, ids: IdMaker) -> None:
    adapter(store, "one")
    adapter(store, "own", channel="shop")
    promote(store, "mood", ["shop", "forum"], "one", {"reason": "The first."}, clock=clock, ids=ids)
    promote(store, "mood", ["shop"], "own", {}, clock=clock, ids=ids)
    moment = clock()
    refuse(store, "mood", "forum", "own", "Refused: no better.", {"n": 2}, clock=clock, ids=ids)
    rollback(store, "mood", "shop", clock=clock, ids=ids)
    store.history.add(Event(ids("evt"), "turn", None, None, "Turn 1.", {}, clock()))
    lines = history(store)
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert [line.kind for line in lines] == ["release"] * 3 + ["refused", "rollback", "turn"]
    assert lines[0].message == "The first."
    assert (lines[3].adapter, lines[3].message) == ("own", "Refused: no better.")
    assert [line.kind for line in history(store, at=moment)] == ["release"] * 3
    assert [line.channel for line in history(store, "mood", "forum")] == ["forum", "forum"]
    then = {s.channel: (s.adapter, s.own) for s in served(store, at=moment)}
    assert then == {"shop": ("own", True), "forum": ("one", False)}
    assert [s.adapter for s in served(store, "mood", "shop")] == ["one"]
    assert lines[0].to_json()["at"] == lines[0].at.isoformat()
