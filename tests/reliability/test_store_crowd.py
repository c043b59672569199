"""Many at once, threads and processes, in both databases: nothing lost, nothing twice, nobody sent away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from store_children import add_the_same, child, count, create, hold, same, start
from store_script import NOW, answer, correction, opened, whole

from headrace.errors import StoreBusy
from headrace.store import Added, Store
from headrace.store.lock import only_one

THREADS, PROCESSES = 8, 4
ROWS = [40, pytest.param(2000, marks=pytest.mark.torture)]


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest) -> str:
    """An empty SQLite file or Postgres database."""
    if request.param == "sqlite":
        return "store.db"
    make: Callable[[], str] = request.getfixturevalue("postgres")
    return make()


@pytest.mark.parametrize("rows", ROWS)
def test_the_same_rows_from_all_sides_are_there_once(tmp_path: Path, where: str, rows: int) -> None:
    children = [start(add_the_same, tmp_path, where, worker, rows) for worker in range(PROCESSES)]
    with opened(tmp_path, where).closing() as store, ThreadPoolExecutor(THREADS) as pool:
        store.answers.add([answer("all")])
        threads = [pool.submit(_add, store, PROCESSES + thread, rows) for thread in range(THREADS)]
        said = [added for done in threads for added in done.result()]
        said += [added for one in children for added in one.end()]
        workers = THREADS + PROCESSES
        assert len(said) == workers * rows // 10, "a worker ended early"
        total = sum(said, Added())
        assert (total.new, total.known + total.repeated) == (rows, (workers - 1) * rows)
        assert store.rows.counts() == {("mood", "shop", "new"): rows}
        assert store.rows.masked() == {("mood", "shop", "email"): rows}
        found = [f.id for f in store.feedback.list()]
        both = [f"fb_{n}" for n in range(rows)] + [f"fb_{w}-{n}" for w in range(workers) for n in range(rows)]
        assert sorted(found) == sorted(both)
        assert store.usage.asked("shop", "2026-03-01") == workers * rows
        whole(store)


def _add(store: Store, worker: int, rows: int) -> list[Added]:
    said = []
    for begin in range(0, rows, 10):
        part = range(begin, min(begin + 10, rows))
        said.append(store.rows.add([same(name) for name in part], run=f"run {worker}"))
        for name in part:
            store.feedback.add(correction(f"{name}", "all"))
            store.feedback.add(correction(f"{worker}-{name}", "all"))
        store.usage.add({("shop", "2026-03-01"): len(part)})
    return said


def test_one_of_many_first_requests_gets_the_key(tmp_path: Path, where: str) -> None:
    with opened(tmp_path, where).closing() as store, ThreadPoolExecutor(THREADS) as pool:
        for key in range(5):
            claims = pool.map(lambda n: store.replies.claim("shop", f"{key}", f"{n}", NOW), range(THREADS))  # noqa: B023
            assert list(claims).count(None) == 1


def test_a_claim_that_is_given_back_meanwhile_goes_to_another(tmp_path: Path, where: str) -> None:
    with opened(tmp_path, where).closing() as store, ThreadPoolExecutor(THREADS) as pool:

        def try_often(worker: int) -> int:
            got = 0
            for _ in range(40):
                if store.replies.claim("shop", "k", f"{worker}", NOW) is None:
                    held = store.replies.find("shop", "k")
                    assert held is not None, "told that it was the first, and nothing was kept"
                    assert held.digest == f"{worker}"
                    got += 1
                    store.replies.release("shop", "k")
            return got

        assert sum(pool.map(try_often, range(THREADS))) > 0


def test_the_same_artifact_from_many_threads_is_one_whole_file(sqlite_store: Store) -> None:
    barrier = threading.Barrier(THREADS)

    def put(number: int) -> list[str]:
        barrier.wait()
        return [sqlite_store.artifacts.put(bytes([i]) * 100_000) for i in range(10)]

    with ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(put, range(THREADS)))
    assert digests == [digests[0]] * THREADS
    assert [sqlite_store.artifacts.get(digest)[0] for digest in digests[0]] == list(range(10))
    assert list(sqlite_store.artifacts) == sorted(digests[0])


def test_a_store_that_all_create_at_once_is_created_once(tmp_path: Path, where: str) -> None:
    children = [start(create, tmp_path, where) for _ in range(PROCESSES)]
    assert [one.end() for one in children] == [["begin", "open"]] * PROCESSES


@pytest.mark.parametrize("times", [10, pytest.param(1000, marks=pytest.mark.torture)])
def test_the_turn_lock_has_one_holder_at_a_time(tmp_path: Path, where: str, times: int) -> None:
    (tmp_path / "number").write_text("0")
    opened(tmp_path, where).close()
    # In Postgres the lock is the database's: machines with folders of their own see it too.
    locks = [tmp_path if where == "store.db" else tmp_path / f"{n}" for n in range(PROCESSES)]
    for folder in locks:
        folder.mkdir(exist_ok=True)
    children = [start(count, tmp_path, where, lock, times) for lock in locks]
    assert [one.end() for one in children] == [[times]] * PROCESSES
    assert int((tmp_path / "number").read_text()) == times * PROCESSES


def test_the_turn_lock_is_free_once_its_holder_was_killed(tmp_path: Path, where: str) -> None:
    with opened(tmp_path, where).closing() as store:
        with child(hold, tmp_path, where) as holder:
            holder.wait_for("held")
            with (
                pytest.raises(StoreBusy, match="another turn is running"),
                only_one(store.database, tmp_path, "turn"),
            ):
                pass
            holder.kill()
        for _ in range(200):  # a server notices a closed connection a moment later
            try:
                with only_one(store.database, tmp_path, "turn"):
                    return
            except StoreBusy:
                time.sleep(0.05)
        pytest.fail("the lock outlived its holder")
