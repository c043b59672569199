"""The work of a row, counted: the bytes of weights that it goes through in the graph that serves it.

On a processor the time of a row follows them: every token of the row passes every weight of the layers, and a
weight in int8 is a quarter of one in float32. Against all-MiniLM-L6-v2 in int8 the same in float32 counted 3.7
times as much and took 3.3 times the processor time, multilingual-e5-small in int8 2.6 and 2.5, in float32 9.4
and 7.8. Unlike a time, the count is the same on any machine and however busy it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace.models.adapter import HEAD_FILE
from headrace.models.delta import WEIGHTS_FILE
from headrace.serving.engine import Engine
from headrace.serving.export import BIG_VOCABULARY
from headrace.serving.loader import Files, Source
from headrace.serving.shelf import Loaded

TEXTS = 200  # whose tokens are counted


def row_work(engine: Engine, files: Files, digests: Mapping[str, str], texts: Sequence[str]) -> float:
    """Bytes of weights that one of `texts` goes through on average; of no texts, 0. Raises ArtifactError.

    Each token passes the layers and the delta, each row the head; the tables of words are only looked up in.
    """
    if not texts:
        return 0.0
    loaded = engine.bank.shelf.open(Source("counted", files, digests))
    tokens = sum(map(len, loaded.encoder.tokenize(texts[:TEXTS]))) / len(texts[:TEXTS])
    layers = _bytes(files, "graph.onnx") - _table(loaded)
    return tokens * (layers + _bytes(files, WEIGHTS_FILE)) + _bytes(files, HEAD_FILE)


def _table(loaded: Loaded) -> int:
    """Bytes of the table of words in its graph."""
    words = loaded.encoder.vocabulary
    return words * loaded.encoder.settings.hidden * (1 if words > BIG_VOCABULARY else 4)


def _bytes(files: Files, name: str) -> int:
    file = files.get(name, b"")
    return file.stat().st_size if isinstance(file, Path) else len(file)
