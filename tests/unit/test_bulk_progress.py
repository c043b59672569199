"""How far a file's answering is: rows a second, the time left, and what an earlier run did left out of both."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from bulk_stand import Giver, answered, rows_of, small_chunks, write_table

from headrace.cli.progress import Progress


def test_a_line_says_how_fast_it_goes_and_how_long_it_takes() -> None:
    now = [0.0]
    out = io.StringIO()
    with Progress(out, every=5, monotonic=lambda: now[0]) as progress:
        for seconds, done in ((0, 4000), (10, 5000), (20, 6000), (30, 10_000)):
            now[0] = seconds
            progress("answering big.csv", done, 10_000)
    assert out.getvalue().splitlines() == [
        "answering big.csv: 5,000 of 10,000, 10 s, 100/s, 50 s left",
        "answering big.csv: 6,000 of 10,000, 20 s, 100/s, 40 s left",
        "answering big.csv: 10,000 of 10,000, 30 s",
    ]


@pytest.mark.parametrize(("left", "said"), [(99, "99 s"), (600, "10 min"), (36_000, "10.0 h")])
def test_long_spans_are_said_in_longer_units(left: int, said: str) -> None:
    now = [0.0]
    out = io.StringIO()
    with Progress(out, monotonic=lambda: now[0]) as progress:
        progress("answering", 1, left + 11)
        now[0] = 10.0
        progress("answering", 11, left + 11)
    assert out.getvalue().endswith(f", 1/s, {said} left\n")


def test_a_run_that_goes_on_begins_at_what_is_kept(tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []

    def stop(number: int) -> None:
        if number == 4:
            raise InterruptedError

    file = write_table(tmp_path / "in.txt", [{"text": f"q {i}"} for i in range(40)])
    with small_chunks():
        with pytest.raises(InterruptedError):
            answered(Giver(before=stop), file, tmp_path / "out.csv")
        written = answered(Giver(), file, tmp_path / "out.csv", progress=lambda *said: heard.append(said))
    answering = [(done, total) for stage, done, total in heard if stage == "answering in.txt"]
    assert answering[0][0] > written.kept >= 12
    assert answering[-1] == (40, 40)
    assert {total for _, total in answering} == {40}
    assert heard[-1] == ("writing out.csv", 40, 40)


def test_a_table_knows_about_how_long_it_is(tmp_path: Path) -> None:
    totals = {}
    for name in ("in.csv", "in.jsonl", "in.parquet"):
        heard: list[int] = []
        file = write_table(tmp_path / name, [{"text": f"q {row['n']}"} for row in rows_of(40)])
        with small_chunks():
            answered(Giver(), file, tmp_path / "out.csv", progress=lambda *said, to=heard: to.append(said[2]))
        totals[name] = heard[0]
    assert totals == {"in.csv": 41, "in.jsonl": 40, "in.parquet": 40}
