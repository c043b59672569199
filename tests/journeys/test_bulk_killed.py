"""kill -9 at every change that a file's answering makes on the disk: the same call goes on, nothing is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bulk_stand import Giver, answered, killed, read_table, right, rows_of, small_chunks, write_table
from zygote import Zygote

ROWS, CHUNK = 18, 4


def test_killed_at_every_change_of_the_disk_the_same_call_goes_on(tmp_path: Path) -> None:
    file = write_table(tmp_path / "in.csv", rows_of(ROWS))
    whole = tmp_path / "whole.csv"
    with small_chunks(CHUNK):
        answered(Giver(), file, whole)
    assert [row["label"] for row in read_table(whole)] == [right(row["text"]) for row in rows_of(ROWS)]
    with Zygote() as zygote:
        number, ended = 0, False
        while not ended:
            number += 1
            out = tmp_path / f"out{number}.csv"
            first = zygote.call(killed, str(file), str(out), number)
            ended = first.error == ""
            assert ended or first.error == "it died by itself"
            assert not out.exists() or out.read_bytes() == whole.read_bytes(), "there whole or not at all"
            parts = Path(f"{out}.parts")
            kept = len(list(parts.glob("*.part"))) if (parts / "manifest.json").exists() else 0
            second = zygote.call(killed, str(file), str(out), 0)
            assert second.value()
            assert out.read_bytes() == whole.read_bytes()
            assert not parts.exists()
            again = sum(len(call) for call in second.said)
            assert again == ROWS - min(kept * CHUNK, ROWS), "what was kept is not asked again"
    assert number > 25, "every part, the manifest, the target and the folder were killed at"


def test_a_call_ended_in_any_chunk_asks_every_text_once_in_all(tmp_path: Path) -> None:
    rows = rows_of(ROWS)
    file = write_table(tmp_path / "in.jsonl", rows)
    for last in range(1, ROWS // CHUNK + 2):
        out = tmp_path / f"out{last}.jsonl"

        def stop(number: int, last: int = last) -> None:
            if number == last:
                raise KeyboardInterrupt

        stopped, second = Giver(before=stop), Giver()
        with small_chunks(CHUNK):
            try:
                answered(stopped, file, out)
            except KeyboardInterrupt:
                assert not out.exists()
            written = answered(second, file, out)
        assert Counter(stopped.asked + second.asked) == Counter(row["text"] for row in rows)
        assert (written.rows, written.kept) == (ROWS, len(stopped.asked))
        assert [row["label"] for row in read_table(out)] == [right(row["text"]) for row in rows]
