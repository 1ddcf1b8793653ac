"""Which values must have one scale and zero point, and which have those that their operator fixes."""

from __future__ import annotations

from collections.abc import Mapping

from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType, QuantParams
from thimble.compiler.ops.gather import Gather
from thimble.compiler.ops.join import Join
from thimble.compiler.ops.minimum_maximum import Extremum
from thimble.compiler.ops.mirror_pad import MirrorPad
from thimble.compiler.ops.neg import Neg
from thimble.compiler.ops.pad import ConstantPadding
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.reduce import ReduceMax
from thimble.compiler.ops.relu import Relu6
from thimble.compiler.ops.reshape import Relabel
from thimble.compiler.ops.resize import Resize
from thimble.compiler.ops.sigmoid import Logistic, Tanh
from thimble.compiler.ops.slice import Slicing
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.space_to_batch_nd import BatchOperator
from thimble.compiler.ops.space_to_depth import BlockOperator
from thimble.compiler.ops.split import Cut
from thimble.compiler.ops.transpose import Transpose

SHARING: tuple[type[Operator], ...] = (
    BatchOperator,
    BlockOperator,
    ConstantPadding,
    Cut,
    Extremum,
    Gather,
    Join,
    MirrorPad,
    Neg,
    Pool2D,
    ReduceMax,
    Relabel,
    Relu6,
    Resize,
    Slicing,
    Transpose,
)
"""Operators that take stored values over as they are: their kernels know neither scale nor zero point."""

_FIXED: dict[type[Operator], dict[DType, QuantParams]] = {
    Softmax: {DType.INT8: QuantParams((1 / 256,), (-128,)), DType.INT16: QuantParams((1 / 32768,), (0,))},
    Logistic: {DType.INT8: QuantParams((1 / 256,), (-128,)), DType.INT16: QuantParams((1 / 32768,), (0,))},
    Tanh: {DType.INT8: QuantParams((1 / 128,), (0,)), DType.INT16: QuantParams((1 / 32768,), (0,))},
}
"""Operators whose kernels write one scale and zero point only (TFLite's 8-bit quantization specification)."""


def fixed_output(site: Site, dtype: DType) -> QuantParams | None:
    """The scale and zero point that the operator's kernel writes, whatever calibration saw."""
    return _FIXED.get(type(site.op), {}).get(dtype)


def shares(site: Site) -> bool:
    """Whether all float operands and results of a node have one scale and zero point."""
    return isinstance(site.op, SHARING)


def sharing_groups(graph: Graph) -> Mapping[int, int]:
    """For each float value the smallest index among the values that must be quantized as it is."""
    parent: dict[int, int] = {i: i for i, v in enumerate(graph.values) if v.type.dtype is DType.FLOAT32}

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for node, site in zip(graph.nodes, graph.sites, strict=True):
        if not shares(site):
            continue
        members = [i for i in (*node.inputs, *node.outputs) if i in parent]
        for member in members[1:]:
            low, high = sorted((root(members[0]), root(member)))
            parent[high] = low
    return {i: root(i) for i in parent}
