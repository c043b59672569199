"""The command line answers at once: what is heavy is imported by a verb, not by its help."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "onnxruntime",
    "sklearn",
    "scipy",
    "numpy",
    "fastapi",
    "sqlalchemy",
    "uvicorn",
)
SHOW = "import json, sys; print(json.dumps(sorted(m for m in sys.modules if '.' not in m)), file=sys.stderr)"


@pytest.mark.parametrize("words", [[], ["--help"], ["train", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = f"import atexit; atexit.register(lambda: exec({SHOW!r})); import headrace.cli; "
    script += f"headrace.cli.app({words!r}, prog_name='headrace')" if words else ""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert '"headrace"' in done.stderr
    assert not [name for name in HEAVY if f'"{name}"' in done.stderr]
