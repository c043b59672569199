"""A tiny random base for tests: BERT of width 32, English and Chinese, made in a moment, no network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WIDTH, INNER, HEADS, POSITIONS = 32, 64, 4, 160
HAN = bytes(byte for high in range(0xB0, 0xD7) for low in range(0xA1, 0xFF) for byte in (high, low)).decode(
    "gb2312"
)
"""The 3,666 commonest Chinese characters: GB 2312, level 1, but for its last row."""
COMMON = "the how do my to card is it not can what when why order pay money refund good bad"


def make_tiny_base(folder: Path, *, seed: int = 0, layers: int = 2) -> Path:
    """Write the base into `folder` as transformers would, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    words = vocabulary()
    (folder / "config.json").write_text(json.dumps(_config(len(words), layers)), "utf-8")
    tensors = _weights(len(words), layers, np.random.default_rng(seed))
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer(words).save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said), "utf-8")
    return folder


def vocabulary() -> list[str]:
    """Special tokens, ASCII letters and digits (also as continuations), signs, Chinese characters."""
    plain = "abcdefghijklmnopqrstuvwxyz0123456789"
    signs = list("!?.,:;'\"()[]{}<>@#$%&*+-=_/\\|~^`，。！？；：、（）")
    later = [f"##{letter}" for letter in plain]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *plain, *later, *COMMON.split(), *signs, *HAN]
    return list(dict.fromkeys(tokens))


def _config(words: int, layers: int) -> dict[str, object]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "dtype": "float32",
        "hidden_act": "gelu",
        "hidden_size": WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "vocab_size": words,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }


def _weights(words: int, layers: int, random: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    def matrix(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, 0.5 / np.sqrt(shape[-1]), shape).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": matrix(words, WIDTH) * 4,
        "embeddings.position_embeddings.weight": matrix(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": matrix(2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(layers):
        name = f"encoder.layer.{layer}"
        sizes = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        sizes |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (INNER, WIDTH)}
        for part, shape in (sizes | {"output.dense": (WIDTH, INNER)}).items():
            found[f"{name}.{part}.weight"] = matrix(*shape) * 2
            found[f"{name}.{part}.bias"] = matrix(shape[0])
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
    for name in norms:
        found[f"{name}.weight"] = np.ones(WIDTH, np.float32)
        found[f"{name}.bias"] = np.zeros(WIDTH, np.float32)
    return found


def _tokenizer(words: list[str]) -> Tokenizer:
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=200))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])],
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return tokenizer
