"""The shape that every benchmark shares: figures with interval, target and command, as a table and as JSON."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = (
    "headrace",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "transformers",
    "onnxruntime",
    "tokenizers",
)


@dataclass(frozen=True)
class Figure:
    """One measured number. `holds` is None where the target speaks of the full run, or where there is none."""

    name: str
    value: float
    unit: str
    interval: tuple[float, float] | None = None
    n: int | None = None
    seeds: tuple[int, ...] = ()
    target: str | None = None
    holds: bool | None = None
    command: str = ""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter, those installed."""
    found = {"python": platform.python_version()}
    installed = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES if name in installed}


def processor() -> str:
    """The processor's name and how many of them."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor() or platform.machine()


def document(figures: Sequence[Figure], *, at: datetime) -> dict[str, object]:
    """What the JSON file holds."""
    return {
        "versions": versions(),
        "processor": processor(),
        "date": at.isoformat(timespec="seconds"),
        "figures": [asdict(figure) for figure in figures],
    }


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines of text."""
    rows = [("figure", "value", "95 % interval", "n", "target", "holds")]
    for figure in figures:
        low_high = "" if figure.interval is None else f"{figure.interval[0]:.4g} to {figure.interval[1]:.4g}"
        holds = {True: "yes", False: "NO", None: ""}[figure.holds]
        value = f"{figure.value:.4g} {figure.unit}"
        count = "" if figure.n is None else str(figure.n)
        rows.append((figure.name, value, low_high, count, figure.target or "", holds))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def data_argument(parser: argparse.ArgumentParser) -> None:
    """The folder of data sets, which HEADRACE_DATA names where the option does not."""
    folder = os.environ.get("HEADRACE_DATA")
    parser.add_argument(
        "--data", type=Path, default=folder, required=folder is None, help="default: $HEADRACE_DATA"
    )


def main(
    name: str,
    measure: Callable[[argparse.Namespace, str], Sequence[Figure]],
    arguments: Callable[[argparse.ArgumentParser], object] | None = None,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse the shared options, measure, print the table, write the JSON; the command's exit status.

    `measure` gets the options and the command as it was written; `arguments` adds options of its own.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--quick", action="store_true", help="a named subset, within 50 seconds")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    if arguments is not None:
        arguments(parser)
    options = parser.parse_args(argv)
    command = f"python -m benchmarks.{name}{' --quick' if options.quick else ''}"
    figures = measure(options, command)
    print(table(figures))
    if options.json is not None:
        written = json.dumps(document(figures, at=datetime.now(UTC)), indent=1, ensure_ascii=False)
        options.json.write_text(written + "\n", "utf-8")
    return 1 if any(figure.holds is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit("This module is the shape of the others; run python -m benchmarks.quality, for example.")
