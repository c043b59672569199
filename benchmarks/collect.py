"""Memory of collect and clean: `python -m benchmarks.collect [--quick] [--json FILE]`.

Each measurement is a process of its own: peak resident memory beyond what it held before it began, all
imported and the store open. Rows are distinct, 200 characters long, drawn by a seed.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

FULL, QUICK = (100_000, 1_000_000), (5_000, 50_000)
SEED = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5,000 and 50,000 rows instead")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--child", choices=("collect", "clean"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        sys.stdout.write(json.dumps(_child(given.child, given.folder)))
        return
    figures = measure(QUICK if given.quick else FULL, full=not given.quick)
    for figure in figures:
        verdict = "" if figure["target"] is None else f" (target {figure['target']}, holds {figure['holds']})"
        print(f"{figure['name']}: {figure['value']} {figure['unit']}{verdict}")
    if given.json:
        given.json.write_text(json.dumps(_sheet(figures), indent=2))


def measure(sizes: tuple[int, int], *, full: bool) -> list[dict[str, object]]:
    """The figures at two numbers of rows; `holds` is None where they are not those of the target."""
    with tempfile.TemporaryDirectory() as name:
        runs = [_run(Path(name) / str(rows), rows) for rows in sizes]
    (small, _), (large, clean) = runs
    ratio = round(large["peak"] / small["peak"], 3)
    row_bytes = round(clean["peak"] / sizes[1], 1)
    few, many = (f"{rows:,}" for rows in sizes)
    return [
        _figure(
            f"collect: peak memory at {many} rows over that at {few}", ratio, "ratio", sizes[1], 1.2, full
        ),
        _figure(f"clean: peak memory a row at {many} rows", row_bytes, "bytes", sizes[1], 400, full),
        _figure(
            f"collect: rows a second at {many} rows", round(sizes[1] / large["seconds"]), "rows/s", sizes[1]
        ),
        _figure(
            f"clean: rows a second at {many} rows", round(sizes[1] / clean["seconds"]), "rows/s", sizes[1]
        ),
    ]


def _figure(
    name: str, value: float, unit: str, n: int, target: float | None = None, full: bool = False
) -> dict[str, object]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "interval": None,
        "n": n,
        "seeds": [SEED],
        "target": None if target is None else f"<= {target}",
        "holds": value <= target if full and target is not None else None,
        "command": "python -m benchmarks.collect" + ("" if full or target is None else " --quick"),
    }


def _sheet(figures: Sequence[Mapping[str, object]]) -> dict[str, object]:
    packages = ("headrace", "sqlalchemy", "numpy", "rensa", "phonenumbers")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "processor": _processor(),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": list(figures),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def _run(folder: Path, rows: int) -> tuple[dict[str, float], dict[str, float]]:
    """Peak bytes and seconds of collect, then of clean, over a file of `rows` rows."""
    folder.mkdir()
    _write(folder / "rows.csv", rows)
    command = [sys.executable, "-m", "benchmarks.collect", "--folder", str(folder), "--child"]
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
    main()
