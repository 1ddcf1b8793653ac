"""How inputs and outputs of a model lie in memory: images channels last, so that no transpose is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onnx import GraphProto

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.model_file import domain_of
from thimble.compiler.ir.graph import Role

_SPATIAL = {
    *("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "AveragePool", "MaxPool", "LpPool", "GlobalAveragePool"),
    *("GlobalMaxPool", "BatchNormalization", "InstanceNormalization", "Resize", "Upsample", "LRN"),
}
_ELEMENT_WISE = {
    *("Add", "Sub", "Mul", "Div", "Cast", "Identity", "Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "Neg", "Pad"),
    *("QuantizeLinear", "DequantizeLinear", "Concat", "Dropout", "HardSwish", "Pow", "Sqrt", "Slice", "Split"),
}
"""Operators that compute in any order of dimensions."""


def wants_channels_last(graph: GraphProto, name: str, rank: int) -> bool:
    """Whether the first operator that minds the order of an input's dimensions slides over images (N, C, ...)."""
    if rank not in (3, 4):
        return False
    reached = {name}
    for node in graph.node:
        if domain_of(node) == "" and reached.intersection(node.input[:1] if node.op_type in _SPATIAL else node.input):
            if node.op_type in _SPATIAL:
                return True
            if node.op_type not in _ELEMENT_WISE:
                return False
            reached.update(node.output)
    return False


def store_outputs(builder: Builder, outputs: Sequence[tuple[str, Tensor]]) -> list[int]:
    """The stored values of the model's outputs, each under its name; images stay channels last."""
    indices: list[int] = []
    for name, tensor in outputs:
        builder.source = f"output {name!r}"
        own = tuple(range(len(tensor.order)))
        moved = [axis for axis in tensor.order if builder.shape(tensor)[axis] != 1]
        if tensor.order != own and (moved == sorted(moved) or builder.value(tensor).role is not Role.ACTIVATION):
            tensor = builder.plain(tensor)
        value = builder.value(tensor)
        if tensor.index in indices or value.role is not Role.ACTIVATION:
            tensor = builder.copy(tensor)
            value = builder.value(tensor)
        order = None if tensor.order == own else tensor.order
        builder.values[tensor.index] = replace(value, name=name, source_order=order)
        indices.append(tensor.index)
    return indices
