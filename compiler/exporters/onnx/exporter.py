"""An integer graph as ONNX: float operators between pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper

from thimble.compiler.exporters.onnx.draft import Layout, OnnxDraft
from thimble.compiler.exporters.onnx.operators import write_operator
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.support import unsupported as all_blockers

OPSET, IR_VERSION = 18, 8
"""Of onnx 1.13: old enough for every runtime that is in use, and reductions take their axes as an input."""

WIDE_OPSET, WIDE_IR_VERSION = 21, 10
"""Of onnx 1.16, the first that quantizes to 16 and to 4 bits."""

NARROWEST_OPSET, NARROWEST_IR_VERSION = 25, 13
"""Of onnx 1.20, the first that quantizes to 2 bits."""


def export_qdq(graph: Graph) -> bytes:
    """The graph as an ONNX file with float32 inputs and outputs, shaped as the graph's own (channels last).

    Runtimes compute between two roundings as they like, so that results may differ by one step here and there.
    Raises UnsupportedOp, with every blocker, for operators that are not written yet.
    """
    opset, ir_version = _versions(graph)
    draft = OnnxDraft(graph, opset)
    inputs = []
    for index in graph.inputs:
        value = graph.values[index]
        name = draft.name(value.name)
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.type.shape))
        _put_input(draft, index, name)
    _write_nodes(draft, graph)
    outputs = []
    for index in graph.outputs:
        value = graph.values[index]
        name = draft.node("Identity", [draft.real(index)], f"{value.name}/output")
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.type.shape))
    model = helper.make_model(
        helper.make_graph(draft.nodes, graph.name, inputs, outputs, draft.initializers),
        producer_name="thimble",
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
    )
    checker.check_model(model, full_check=True)
    return _serialized(model)


def _versions(graph: Graph) -> tuple[int, int]:
    """The oldest opset that has the graph's types, and the format that goes with it."""
    dtypes = {value.type.dtype for value in graph.values}
    if DType.INT2 in dtypes:
        return NARROWEST_OPSET, NARROWEST_IR_VERSION
    return (WIDE_OPSET, WIDE_IR_VERSION) if dtypes & {DType.INT16, DType.INT4} else (OPSET, IR_VERSION)


def _put_input(draft: OnnxDraft, index: int, name: str) -> None:
    """Quantize an input; an image for windows gets its channels first before that, where nothing is rounded yet."""
    readers = (site.op for node, site in zip(draft.graph.nodes, draft.graph.sites, strict=True) if index in node.inputs)
    if any(isinstance(op, WindowConvolution | Pool2D) for op in readers):
        moved = draft.node("Transpose", [name], f"{name}/channels_first", perm=list(Layout.CHANNELS_FIRST.value))
        draft.put(index, moved, Layout.CHANNELS_FIRST)
    else:
        draft.put(index, name)


def _write_nodes(draft: OnnxDraft, graph: Graph) -> None:
    blockers = []
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        try:
            write_operator(draft, node, site)
        except UnsupportedOp as error:
            blockers.append(str(error))
            for index in node.outputs:  # so that what comes behind can be tried too
                zeros = np.zeros(graph.values[index].type.shape, np.float32)
                draft.put(index, draft.constant("refused", zeros))
    if blockers:
        raise all_blockers(blockers)


def _serialized(model: ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))
