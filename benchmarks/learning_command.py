"""One `headrace label add` on BANKING77 with 76 labels, from the command to the release."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure
from headrace.project import Project

RECIPE = """\
name: banking
tasks:
  intent: {{base: all-MiniLM-L6-v2}}
channels:
  website: {{tasks: [intent], language: en}}
sources:
  rows: {{channel: website, task: intent, options: {{path: {rows}, text: text, label: intent, split: split}}}}
train: {{method: head}}
"""
NEW = "card_arrival"


def measure(options: argparse.Namespace, cache: Path, command: str) -> list[Figure]:
    """The seconds of the command on this machine, and of a renaming, by the clock on the wall."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ten = write_rows(options.data / "banking77", folder)
        (folder / ".cache").symlink_to(cache.resolve(), target_is_directory=True)
        Project.init(folder, recipe=RECIPE.format(rows="rows.csv")).close()
        for verb in (["collect"], ["turn"]):
            timed(folder, verb)
        added = timed(folder, ["label", "add", NEW, "--examples", str(ten)])
        renamed = timed(folder, ["label", "rename", NEW, "card_on_its_way"])
    what = "banking77: headrace label add, from the command to the release, 76 other labels"
    again = "banking77: headrace label rename, from the command to the release"
    return [
        Figure(what, round(added, 1), "s", n=1, target="<= 60", holds=added <= 60, command=command),
        Figure(again, round(renamed, 1), "s", n=1, command=command),
    ]


def write_rows(source: Path, folder: Path) -> Path:
    """All rows but those of one label into `rows.csv`; the file with ten of its training rows."""
    ten: list[str] = []
    with open(folder / "rows.csv", "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["text", "intent", "split"])
        for split in ("train", "test"):
            with open(source / f"{split}.csv", encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    if row["intent"] != NEW:
                        writer.writerow([row["text"], row["intent"], split])
                    elif split == "train" and len(ten) < 10:
                        ten.append(" ".join(row["text"].split()))
    (folder / "ten.txt").write_text("\n".join(ten), "utf-8")
    return folder / "ten.txt"


def timed(folder: Path, words: list[str]) -> float:
    """Seconds on the wall of a verb."""
    began = time.perf_counter()
    made = subprocess.run(
        [sys.executable, "-m", "headrace", *words], cwd=folder, capture_output=True, text=True
    )
    if made.returncode:
        raise RuntimeError(f"headrace {' '.join(words)}: {made.stdout}{made.stderr}")
    print(made.stdout, file=sys.stderr, flush=True)
    return time.perf_counter() - began
