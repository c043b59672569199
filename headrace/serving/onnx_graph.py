"""Nodes and constants of an ONNX graph under construction, one operator at a time."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import MissingExtra

MS = "com.microsoft"
FLOAT, INT64, BOOL = 1, 7, 9
_OPSET, _IR = 23, 10  # 23 brings Attention, a third faster on a CPU than any older operator for it


class Builder:
    """A graph that grows; constants are stored once by name, nodes are numbered in the order of building."""

    def __init__(self) -> None:
        self._onnx = _onnx()
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, shape: Sequence[str | int], kind: int = INT64) -> str:
        """Declare a graph input."""
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[str | int]) -> None:
        """Declare `value` an output of the graph, a float called `name`."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, FLOAT, shape))

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """Store `array` once under `name`."""
        if name not in self._constants:
            # ascontiguousarray would make a vector of a scalar.
            whole = np.asarray(array, order="C")
            self._constants[name] = self._onnx.numpy_helper.from_array(whole, name)
        return name

    def ints(self, *values: int) -> str:
        """A vector of int64."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output and return that output's name."""
        return self.many(kind, 1, *inputs, **attributes)[0]

    def many(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node of several outputs."""
        name = f"{kind}_{len(self._nodes)}"
        names = [f"{name}_{i}" for i in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, names, name=name, **attributes))
        return names

    def to_bytes(self) -> bytes:
        """The serialised model; the same calls give the same bytes."""
        make = self._onnx.helper
        constants = list(self._constants.values())
        graph = make.make_graph(self._nodes, "headrace", self._inputs, self._outputs, constants)
        opsets = [make.make_opsetid("", _OPSET), make.make_opsetid(MS, 1)]
        model = make.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="headrace")
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ModuleNotFoundError as error:
        raise MissingExtra("Exporting a base", "train") from error
