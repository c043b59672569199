"""A language model in a GGUF file -> a transformers folder, with numpy alone.

Version 3 of llama.cpp's format: pairs of key and value, then the names and shapes of the tensors, then their
bytes. Read are a Llama's tensors in float32, Q4_1 (blocks of 32: scale, least value, 4 bits each) and Q8_0
(scale, 8 bits each), and a byte-level BPE. The folder's weights are float16, which holds all of these.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

Half = NDArray[np.float16]
_NUMBERS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_FLOAT, _Q4_1, _Q8_0 = 0, 3, 8
_ALIGNMENT, _CONTROL, _BLOCK = 32, 3, 32
_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


@dataclass(frozen=True)
class Model:
    """What a GGUF file says: its `facts` by key, and its tensors by llama.cpp's names."""

    facts: Mapping[str, Any]
    tensors: Mapping[str, Half]


def read(path: Path) -> Model:
    """The model in a file; raises ValueError, struct.error or KeyError where it is damaged or of another kind."""
    data = memoryview(path.read_bytes())
    if bytes(data[:4]) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    cursor = _Cursor(data, 4)
    version, tensors, pairs = cursor.take("<I"), cursor.take("<Q"), cursor.take("<Q")
    if version != 3:
        raise ValueError(f"it is of version {version}, not 3")
    facts = {cursor.text(): cursor.value(cursor.take("<I")) for _ in range(pairs)}
    heads = [_head(cursor) for _ in range(tensors)]
    start = math.ceil(cursor.at / _ALIGNMENT) * _ALIGNMENT
    return Model(facts, {name: _tensor(data, start + at, shape, kind) for name, shape, kind, at in heads})


def write(model: Model, folder: Path) -> None:
    """Write model.safetensors, config.json, tokenizer.json, tokenizer_config.json and the chat template."""
    facts, token = model.facts, model.facts["tokenizer.ggml.tokens"]
    special = {
        name: token[facts[f"tokenizer.ggml.{name}_token_id"]] for name in ("bos", "eos", "unknown", "padding")
    }
    safetensors.numpy.save_file(_named(model), folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer(facts).save(str(folder / "tokenizer.json"))
    files: dict[str, dict[str, object]] = {
        "config.json": _config(model),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": special["bos"],
            "eos_token": special["eos"],
            "unk_token": special["unknown"],
            "pad_token": special["padding"],
            "clean_up_tokenization_spaces": False,
            "model_max_length": facts["llama.context_length"],
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1), "utf-8")
    (folder / "chat_template.jinja").write_text(facts["tokenizer.chat_template"], "utf-8")


@dataclass
class _Cursor:
    data: memoryview
    at: int

    def take(self, layout: str) -> Any:
        (found,) = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return found

    def text(self) -> str:
        size = self.take("<Q")
        self.at += size
        return str(self.data[self.at - size : self.at], "utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            inner, count = self.take("<I"), self.take("<Q")
            return [self.value(inner) for _ in range(count)]
        return self.take(_NUMBERS[kind])


def _head(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    """A tensor's name, shape (the longest stride first), kind and place."""
    name, axes = cursor.text(), cursor.take("<I")
    shape = tuple(cursor.take("<Q") for _ in range(axes))[::-1]
    return name, shape, cursor.take("<I"), cursor.take("<Q")


def _tensor(data: memoryview, at: int, shape: tuple[int, ...], kind: int) -> Half:
    count = math.prod(shape)
    if kind == _FLOAT:
        return np.frombuffer(data, "<f4", count, at).reshape(shape).astype(np.float16)
    if kind == _Q8_0:
        whole = np.frombuffer(
            data, np.dtype([("scale", "<f2"), ("value", "i1", _BLOCK)]), count // _BLOCK, at
        )
        return (whole["value"] * whole["scale"].astype(np.float32)[:, None]).astype(np.float16).reshape(shape)
    if kind != _Q4_1:
        raise ValueError(f"a tensor is of kind {kind}")
    layout = np.dtype([("scale", "<f2"), ("least", "<f2"), ("nibbles", "u1", _BLOCK // 2)])
    blocks = np.frombuffer(data, layout, count // _BLOCK, at)
    values = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    scale, least = (blocks[part].astype(np.float32)[:, None] for part in ("scale", "least"))
    return (values * scale + least).astype(np.float16).reshape(shape)


def _named(model: Model) -> dict[str, Half]:
    """The tensors under transformers' names; the head is the embedding where the file has none of its own."""
    heads = {"attn_q": _heads(model, ""), "attn_k": _heads(model, "_kv")}
    named = {
        "model.embed_tokens.weight": model.tensors["token_embd.weight"],
        "model.norm.weight": model.tensors["output_norm.weight"],
    }
    if "output.weight" in model.tensors:
        named["lm_head.weight"] = model.tensors["output.weight"]
    for layer in range(model.facts["llama.block_count"]):
        for theirs, ours in _NAMES.items():
            tensor = model.tensors[f"blk.{layer}.{theirs}.weight"]
            put = _halves(tensor, heads[theirs]) if theirs in heads else tensor
            named[f"model.layers.{layer}.{ours}.weight"] = put
    return named


def _heads(model: Model, kind: str) -> int:
    return int(model.facts[f"llama.attention.head_count{kind}"])


def _halves(tensor: Half, heads: int) -> Half:
    """Rows as transformers turns them: a head's halves apart, where llama.cpp has them in pairs."""
    pairs = tensor.reshape(heads, -1, 2, tensor.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(tensor.shape)


def _config(model: Model) -> dict[str, object]:
    facts = model.facts
    width, heads = facts["llama.embedding_length"], _heads(model, "")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float16",
        "hidden_act": "silu",
        "hidden_size": width,
        "num_hidden_layers": facts["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": _heads(model, "_kv"),
        "head_dim": width // heads,
        "intermediate_size": facts["llama.feed_forward_length"],
        "vocab_size": facts["llama.vocab_size"],
        "max_position_embeddings": facts["llama.context_length"],
        "rms_norm_eps": facts["llama.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": facts["llama.rope.freq_base"]},
        "tie_word_embeddings": "output.weight" not in model.tensors,
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
    }


def _tokenizer(facts: Mapping[str, Any]) -> Tokenizer:
    """GPT-2's byte-level BPE; SmolLM's takes digits one by one."""
    tokens, merges = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.merges"]
    if facts["tokenizer.ggml.model"] != "gpt2":
        raise ValueError(f"its tokenizer is of kind {facts['tokenizer.ggml.model']!r}")
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, pairs))
    steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if facts["tokenizer.ggml.pre"] == "smollm":
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    kinds = facts["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in control])
    return tokenizer
