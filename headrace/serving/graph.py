"""An exported graph in onnxruntime: token ids in, embeddings out; deltas of many adapters as inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from headrace.errors import ArtifactError
from headrace.models.delta import Delta
from headrace.serving.export import Site, bank_inputs
from headrace.serving.weights import Array

Tokens = npt.NDArray[np.int32]


class DeltaBank:
    """The deltas of several adapters, stacked per site for one graph; row 0 is all zeros: no delta.

    Immutable. Ranks may differ: a smaller one is padded with zeros, which adds nothing to its product.
    """

    def __init__(self, deltas: Mapping[str, Delta], inputs: Mapping[Site, tuple[int, int]]) -> None:
        self.adapters = tuple(deltas)
        self._rows = {adapter: row for row, adapter in enumerate(deltas, start=1)}
        self.values: dict[str, ort.OrtValue] = {}
        for site, (width, out) in inputs.items():
            a, b = _stack([delta.factors.get(site) for delta in deltas.values()], width, out)
            for row, delta in enumerate(deltas.values(), start=1):
                b[row] *= delta.scaling
            for name, array in zip(bank_inputs(site), (a, b), strict=True):
                self.values[name] = ort.OrtValue.ortvalue_from_numpy(array)

    def row(self, adapter: str) -> int:
        """Where `adapter` stands; 0 for one without a delta."""
        return self._rows.get(adapter, 0)


class Graph:
    """An open graph; `sites` maps each site that takes deltas to its (in, out) widths."""

    def __init__(self, model: Path | bytes, *, threads: int = 1) -> None:
        self._session = _session(model, threads)
        shapes = {value.name: value.shape for value in self._session.get_inputs()}
        self.sites: dict[Site, tuple[int, int]] = {}
        for name in shapes:
            if name.startswith("A."):
                _, layer, module = name.split(".", 2)
                site = (int(layer), module)
                self.sites[site] = (shapes[name][1], shapes[bank_inputs(site)[1]][2])
        self._none = DeltaBank({}, self.sites)

    def run(self, ids: Sequence[Tokens], rows: npt.NDArray[np.int64], deltas: DeltaBank | None) -> Array:
        """Embeddings [n, d] of n token lists; `rows` [n] picks each one's delta in `deltas`."""
        tokens, mask = _pad(ids)
        feed: dict[str, npt.NDArray[np.int64]] = {"input_ids": tokens, "attention_mask": mask}
        if not self.sites:
            return np.asarray(self._session.run(None, feed)[0], np.float32)
        feed["adapter_index"] = rows
        values = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in feed.items()}
        values.update((deltas or self._none).values)
        return np.asarray(self._session.run_with_ort_values(["embedding"], values)[0].numpy(), np.float32)


def _session(model: Path | bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("optimization.disable_specified_optimizers", "SkipLayerNormFusion")
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a class of its own for each status, all bare Exceptions
        raise ArtifactError(f"the graph cannot be opened: {error}.") from error


def _pad(ids: Sequence[Tokens]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    shape = (len(ids), max(map(len, ids)))
    tokens, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, row_ids in enumerate(ids):
        tokens[row, : len(row_ids)] = row_ids
        mask[row, : len(row_ids)] = 1
    return tokens, mask


def _stack(pairs: Sequence[tuple[Array, Array] | None], width: int, out: int) -> tuple[Array, Array]:
    rank = max((pair[0].shape[0] for pair in pairs if pair), default=1)
    a = np.zeros((len(pairs) + 1, width, rank), np.float32)
    b = np.zeros((len(pairs) + 1, rank, out), np.float32)
    for row, pair in enumerate(pairs, start=1):
        if pair:
            a[row, :, : pair[0].shape[0]] = pair[0].T
            b[row, : pair[1].shape[1]] = pair[1].T
    return a, b
