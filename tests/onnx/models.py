"""Small ONNX models for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

OPSET = 17


def model(
    nodes: Sequence[NodeProto],
    inputs: dict[str, Sequence[int | str]],
    outputs: Sequence[str],
    constants: dict[str, Any] | None = None,
    opset: int = OPSET,
    elem_type: int = TensorProto.FLOAT,
) -> ModelProto:
    """A model of these nodes; outputs have no stated shape."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, elem_type, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node; inputs and outputs are names with spaces between them, "-" for an absent one."""
    names = [["" if name == "-" else name for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(kind, *names, **attributes)


def cnn(rng: np.random.Generator, normalized: bool = True) -> ModelProto:
    """Convolution, batch normalization, depthwise convolution, pool, residual, flattening, dense, softmax."""
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1), "dense": (128, 10)}
    constants: dict[str, Any] = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    for name in ("scale", "bias", "mean", "b2", "b3"):
        constants[name] = rng.normal(0, 0.3, 8).astype(np.float32)
    constants["variance"] = rng.uniform(0.5, 2, 8).astype(np.float32)
    constants["b4"] = rng.normal(0, 1, 10).astype(np.float32)
    constants["six"], constants["zero"] = np.float32(6), np.float32(0)
    return model(
        [
            node("Conv", "x w1", "c1", pads=[1, 1, 1, 1]),
            *([node("BatchNormalization", "c1 scale bias mean variance", "n1")] if normalized else []),
            node("Relu", "n1" if normalized else "c1", "r1"),
            node("Conv", "r1 w2 b2", "c2", group=8, auto_pad="SAME_UPPER", strides=[2, 2]),
            node("Clip", "c2 zero six", "r2"),
            node("Conv", "r2 w3 b3", "c3"),
            node("Add", "c3 r2", "s"),
            node("MaxPool", "s", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", "p", "f"),
            node("Gemm", "f dense b4", "g"),
            node("Softmax", "g", "y"),
        ],
        {"x": (1, 3, 16, 16)},
        ["y"],
        constants,
    )
