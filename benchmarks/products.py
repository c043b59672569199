"""The int8 products of a served graph and nothing else: the floor of what a batch can cost in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

CHUNKS = (512, 2048)
_FLOAT, _BYTES = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def of(graph: bytes, tokens: int) -> dict[str, Callable[[int], None]]:
    """Ways to run the products of `graph` over `tokens` tokens: in chunks of each size.

    A way takes how often it is to run. Inputs and outputs are bound to memory of their own beforehand.
    """
    model = onnx.load_from_string(graph)
    alone, shapes = _alone(model)
    found: dict[str, Callable[[int], None]] = {}
    for chunk in sorted({min(chunk, tokens) for chunk in CHUNKS}):
        session = ort.InferenceSession(alone, _options(), providers=["CPUExecutionProvider"])
        bound = _Bound(session, shapes, chunk)
        found[f"products in chunks of {chunk}"] = partial(bound.run, tokens // chunk)
    return found


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _alone(model: Any) -> tuple[bytes, dict[str, int]]:
    """A model of the products of `model` only, and the width of each input and output."""
    make, constants = onnx.helper, {one.name: one for one in model.graph.initializer}
    nodes, inputs, outputs, used, shapes = [], dict[str, Any](), [], dict[str, Any](), dict[str, int]()
    for number, node in enumerate(n for n in model.graph.node if n.op_type == "MatMulIntegerToFloat"):
        width, out = constants[node.input[1]].dims
        named = f"x.{node.input[0]}"
        inputs[named] = make.make_tensor_value_info(named, _BYTES, ["T", width])
        outputs.append(make.make_tensor_value_info(f"y.{number}", _FLOAT, ["T", out]))
        used |= {name: constants[name] for name in node.input[1:] if name}
        nodes.append(
            make.make_node(
                "MatMulIntegerToFloat", [named, *node.input[1:]], [f"y.{number}"], domain="com.microsoft"
            )
        )
        shapes[named], shapes[f"y.{number}"] = width, out
    graph = make.make_graph(nodes, "products", list(inputs.values()), outputs, list(used.values()))
    opsets = list(model.opset_import)
    content: bytes = make.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return content, shapes


class _Bound:
    """A session with memory for what it reads and writes; that of a width is one for all outputs.

    A graph that goes on reads each output before the next is written, so one memory is what it would cost.
    """

    def __init__(self, session: ort.InferenceSession, shapes: dict[str, int], tokens: int) -> None:
        self._session, self._binding = session, session.io_binding()
        self._kept: dict[str | int, ort.OrtValue] = {}  # the binding does not keep it alive
        random = np.random.default_rng(0)
        for value in session.get_inputs():
            array = random.integers(0, 256, (tokens, shapes[value.name]), np.uint8)
            self._kept[value.name] = ort.OrtValue.ortvalue_from_numpy(array)
            self._binding.bind_ortvalue_input(value.name, self._kept[value.name])
        for value in session.get_outputs():
            width = shapes[value.name]
            if width not in self._kept:
                self._kept[width] = ort.OrtValue.ortvalue_from_numpy(np.zeros((tokens, width), np.float32))
            self._binding.bind_ortvalue_output(value.name, self._kept[width])

    def run(self, chunks: int, repeats: int) -> None:
        """All products over `chunks` chunks, `repeats` times."""
        for _ in range(repeats * chunks):
            self._session.run_with_iobinding(self._binding)
