"""Memory of collect and clean: `python -m benchmarks.collect [--quick] [--json FILE]`.

Each measurement is a process of its own: peak resident memory beyond what it held before it began, all
imported and the store open. Rows are distinct, 200 characters long, drawn by a seed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, main

FULL, QUICK = (100_000, 1_000_000), (5_000, 50_000)
SEED = 0


def measure(options: argparse.Namespace, command: str) -> list[Figure]:
    """The figures at two numbers of rows; `holds` is None where they are not those of the targets."""
    sizes = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory() as name:
        runs = [_run(Path(name) / str(rows), rows) for rows in sizes]
    (small, _), (large, clean) = runs
    few, many = (f"{rows:,}" for rows in sizes)
    ratio, row_bytes = large["peak"] / small["peak"], clean["peak"] / sizes[1]
    figures = [
        (f"collect: peak memory at {many} rows over that at {few}", ratio, "times", 1.2),
        (f"clean: peak memory a row at {many} rows", row_bytes, "bytes", 400),
        (f"collect: speed at {many} rows", sizes[1] / large["seconds"], "rows/s", None),
        (f"clean: speed at {many} rows", sizes[1] / clean["seconds"], "rows/s", None),
    ]
    return [
        Figure(
            name=name,
            value=value,
            unit=unit,
            n=sizes[1],
            seeds=(SEED,),
            target=None if target is None else f"<= {target} at 1,000,000 rows",
            holds=None if target is None or options.quick else value <= target,
            command=command,
        )
        for name, value, unit, target in figures
    ]


def _run(folder: Path, rows: int) -> tuple[dict[str, float], dict[str, float]]:
    """Peak bytes and seconds of collect, then of clean, over a file of `rows` rows."""
    folder.mkdir()
    _write(folder / "rows.csv", rows)
    command = [sys.executable, "-m", "benchmarks.collect", "child", str(folder)]
    done = [
        subprocess.run([*command, verb], check=True, capture_output=True) for verb in ("collect", "clean")
    ]
    collected, cleaned = (json.loads(one.stdout) for one in done)
    return collected, cleaned


def _write(path: Path, rows: int) -> None:
    rng = random.Random(SEED)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(20_000)]
    with open(path, "w", encoding="utf-8") as out:
        out.write("text,label\n")
        for i in range(rows):
            out.write(f"{' '.join(rng.choices(words, k=40))[:200]},label {i % 20}\n")


def _child(verb: str, folder: Path) -> dict[str, float]:
    from headrace.data.clean import clean
    from headrace.data.collect import collect
    from headrace.data.duplicates import signatures
    from headrace.recipe import Recipe
    from headrace.records import utc_now
    from headrace.store import Store

    source = {"channel": "desk", "task": "intent", "options": {"path": "rows.csv"}}
    recipe = Recipe.model_validate(
        {
            "name": "bench",
            "tasks": {"intent": {}},
            "channels": {"desk": {"tasks": ["intent"], "language": "en"}},
            "sources": {"rows": source},
        }
    )
    store = Store.open("store.db", folder, create=True)
    signatures(["all that is imported when first used"])
    idle, begun = _peak(), time.perf_counter()
    if verb == "collect":
        collect(store, recipe, folder, None, clock=utc_now, run="bench")
    else:
        clean(store, recipe, clock=utc_now)
    return {"peak": _peak() - idle, "seconds": time.perf_counter() - begun}


def _peak() -> int:
    """Bytes of resident memory at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        sys.stdout.write(json.dumps(_child(sys.argv[3], Path(sys.argv[2]))))
    else:
        sys.exit(main("collect", measure))
