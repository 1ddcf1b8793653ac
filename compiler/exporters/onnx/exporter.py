"""An integer graph as ONNX: float operators between pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper

from thimble.compiler.exporters.onnx.draft import OnnxDraft
from thimble.compiler.exporters.onnx.operators import write_operator
from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.support import unsupported as all_blockers

OPSET = 21
"""The first that quantizes to 16 bits."""

IR_VERSION = 10
"""The one of onnx 1.16, which brought opset 21."""


def export_qdq(graph: Graph) -> bytes:
    """The graph as an ONNX file with float32 inputs and outputs, shaped as the graph's own (channels last).

    Runtimes compute between two roundings as they like, so that results may differ by one step here and there.
    Raises UnsupportedOp, with every blocker, for operators that are not written yet.
    """
    draft = OnnxDraft(graph)
    inputs = []
    for index in graph.inputs:
        value = graph.values[index]
        name = draft.name(value.name)
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.type.shape))
        draft.put(index, name)
    _write_nodes(draft, graph)
    outputs = []
    for index in graph.outputs:
        value = graph.values[index]
        name = draft.node("Identity", [draft.real(index)], f"{value.name}/output")
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.type.shape))
    model = helper.make_model(
        helper.make_graph(draft.nodes, graph.name, inputs, outputs, draft.initializers),
        producer_name="thimble",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model, full_check=True)
    return _serialized(model)


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
