"""Learning at three speeds: a correction in milliseconds, a label in seconds, a turn in minutes.

BANKING77 (MiniLM) and SMP2017 (multilingual-e5-small), five seeds. Milliseconds: what one correction changes,
beside a nearest neighbour within a fixed radius. Seconds: ten new labels, one by one, from ten examples each,
beside a full retrain, and one `headrace label add` from the command to the release. Minutes: a turn with a
hundred corrections. `--quick` takes every 4th training row of BANKING77, one seed and three labels, and leaves
out the command and the turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import learning_command, learning_labels, learning_memory, learning_turn
from benchmarks.figures import Figure, data_argument, main
from benchmarks.memory import SETS


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """All figures of the run."""
    names = options.only or (list(SETS)[:1] if options.quick else list(SETS))
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch)
        for name in names:
            for part in (learning_memory, learning_labels):
                found += part.measure(name, options, cache, command)
                print(f"{name}: {part.__name__.rpartition('_')[2]} done", file=sys.stderr, flush=True)
        if not options.quick and "banking77" in names:
            found += learning_command.measure(options, cache, command)
            found += learning_turn.measure(options, cache, command)
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    data_argument(parser)
    parser.add_argument("--cache", type=Path, help="a folder that keeps features between runs")
    parser.add_argument("--only", action="append", choices=list(SETS), help="one data set")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2, 3, 4), help="default: 0 to 4")


if __name__ == "__main__":
    sys.exit(main("learning", measure, arguments))
