"""An exported graph in onnxruntime: token ids in, embeddings out; deltas of many adapters as inputs."""

from __future__ import annotations

import base64
import threading
import weakref
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from headrace.errors import ArtifactError
from headrace.serving.deltas import DeltaBank, Site, bank_inputs
from headrace.serving.weights import Array

Tokens = npt.NDArray[np.int32]
# MatMulIntegerToFloat of a row of eight bytes with eight weights of 127: 255 * 127 * 8 where it is exact.
_PROBE = (
    "CAk6kgEKNwoBeAoBdwoBcwoBcwoBehIBeSIUTWF0TXVsSW50ZWdlclRvRmxvYXQ6DWNvbS5taWNyb3NvZnQSAXAqEw"
    "gICAEQA0IBd0oIf39/f39/f38qCxABQgFzSgQAAIA/KggQAkIBekoBAFoTCgF4Eg4KDAgCEggKAggBCgIICGITCgF5"
    "Eg4KDAgBEggKAggBCgIIAUIECgAQDUIRCg1jb20ubWljcm9zb2Z0EAE="
)
_TOKENS = 512  # of one inference: what it works on then stays in the cache, which is 6 % faster


class Graph:
    """An open graph; `sites` maps each site that takes deltas to its (in, out) widths. One batch at a time."""

    def __init__(self, model: Path | bytes, *, threads: int = 1) -> None:
        self._session = open_session(model, threads=threads)
        self.sites = _sites(self._session)
        self._none = DeltaBank(self.sites, 1, 1)
        self._bound: dict[int, ort.IOBinding] = {}
        self._lock = threading.Lock()
        self._most = _TOKENS * threads

    def run(self, ids: Sequence[Tokens], rows: npt.NDArray[np.int64], deltas: DeltaBank | None) -> Array:
        """Embeddings [n, d] of n token lists; `rows` [n] picks each one's slot in `deltas`."""
        width = max(map(len, ids))
        step = max(1, self._most // width)
        bank = self._none if deltas is None else deltas
        with self._lock:
            binding = self._binding(bank)
            parts = [
                self._infer(binding, _pad(ids[i : i + step], width), rows[i : i + step])
                for i in range(0, len(ids), step)
            ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _binding(self, bank: DeltaBank) -> ort.IOBinding:
        """What the session reads of a bank, bound to the bank's own memory once."""
        binding = self._bound.get(id(bank))
        if binding is None:
            binding = self._session.io_binding()
            for site in self.sites:
                for name in bank_inputs(site):
                    binding.bind_ortvalue_input(name, bank.values[name])
            self._bound[id(bank)] = binding
            weakref.finalize(bank, self._bound.pop, id(bank), None)
        return binding

    def _infer(
        self,
        binding: ort.IOBinding,
        padded: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
        rows: npt.NDArray[np.int64],
    ) -> Array:
        binding.bind_cpu_input("input_ids", padded[0])
        binding.bind_cpu_input("attention_mask", padded[1])
        if self.sites:
            binding.bind_cpu_input("adapter_index", rows)
        binding.bind_output("embedding")
        self._session.run_with_iobinding(binding)
        return np.asarray(binding.copy_outputs_to_cpu()[0], np.float32)


def open_session(model: Path | bytes, *, threads: int) -> ort.InferenceSession:
    """An inference session on the CPU; raises ArtifactError where the graph cannot be opened."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if not exact_products():
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.add_session_config_entry("optimization.disable_specified_optimizers", "SkipLayerNormFusion")
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each status, all bare Exceptions
        raise ArtifactError(f"the graph cannot be opened: {error}.") from error


@lru_cache(maxsize=1)
def exact_products() -> bool:
    """Whether this processor's fast int8 product is exact.

    On x86 without VNNI it clips sums of two products at 16 bits: sessions then ask for a slower kernel.
    """
    session = ort.InferenceSession(base64.b64decode(_PROBE), providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": np.full((1, 8), 255, np.uint8)})[0]
    return bool(np.asarray(found).item() == 255 * 127 * 8)


def _sites(session: ort.InferenceSession) -> dict[Site, tuple[int, int]]:
    shapes = {value.name: value.shape for value in session.get_inputs()}
    found: dict[Site, tuple[int, int]] = {}
    for name, shape in shapes.items():
        if name.startswith("B."):
            _, layer, module = name.split(".", 2)
            site = (int(layer), module)
            shared = bank_inputs(site)[0]
            if shared not in shapes:
                raise ArtifactError(
                    "the graph was exported by an older version.", cure="Train again: headrace turn"
                )
            found[site] = (shapes[shared][1], shape[2])
    return found


def _pad(ids: Sequence[Tokens], width: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if (
        len(ids) == 1 and len(ids[0]) == width
    ):  # the common case on an idle server, where every cold line of numpy shows
        tokens = ids[0].astype(np.int64)[None]
        return tokens, np.ones_like(tokens)
    mask = np.arange(width) < np.fromiter(map(len, ids), np.int64, len(ids))[:, None]
    tokens = np.zeros(mask.shape, np.int64)
    tokens[mask] = np.concatenate(ids)
    return tokens, mask.astype(np.int64)
