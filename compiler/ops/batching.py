"""A graph for one sample as a graph for a batch of samples: what makes float models fast in numpy."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, verify
from thimble.compiler.ir.operator import Operator, Shape
from thimble.compiler.ops.arg_min_max import ArgExtreme
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.batch_matmul import BatchMatmul
from thimble.compiler.ops.binary import BinaryOperator
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.has_outliers import HasOutliers
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.mirror_pad import MirrorPad
from thimble.compiler.ops.pad import ConstantPadding
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.reduce import Reduction
from thimble.compiler.ops.reshape import ExpandDims, Reshape, Squeeze
from thimble.compiler.ops.resize import Resize
from thimble.compiler.ops.select import Select
from thimble.compiler.ops.slice import Slice, StridedSlice
from thimble.compiler.ops.softmax import Softmax
from thimble.compiler.ops.space_to_depth import BlockOperator
from thimble.compiler.ops.split import Cut
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.ops.unary import UnaryOperator

_ALWAYS_APART = (UnaryOperator, Pool2D, Resize, BlockOperator, Reshape, Cast, Quantize, Dequantize, HasOutliers)
"""Operators whose first dimension is that of the samples, whatever their attributes say."""


def batched(graph: Graph, samples: int) -> Graph | None:
    """The graph with `samples` in place of the leading 1 of every value that depends on an input.

    None where that dimension is not the samples' own all the way: then samples have to run one by one.
    """
    if graph.states or not all(_leads(graph.values[i].type.shape) for i in graph.inputs):
        return None
    values = list(graph.values)
    changed = set(graph.inputs)
    nodes: list[Node] = []
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        stretched = [position for position, i in enumerate(node.inputs) if i in changed]
        if stretched and not _keeps_samples_apart(site, stretched):
            return None
        nodes.append(replace(node, op=_stretched_operator(site, samples)) if stretched else node)
        changed.update(node.outputs if stretched else ())
    for index in changed:
        values[index] = _stretched(values[index], samples)
    result = replace(graph, values=tuple(values), nodes=tuple(nodes))
    return result if changed.issuperset(graph.outputs) and _is_consistent(result) else None


def _is_consistent(graph: Graph) -> bool:
    try:
        verify(graph)
    except MalformedModel:  # such as a batch that would take more than the largest tensor
        return False
    return True


def _leads(shape: Shape) -> bool:
    return bool(shape) and shape[0] == 1


def _stretched(value: Value, samples: int) -> Value:
    return replace(value, type=replace(value.type, shape=(samples, *value.type.shape[1:])))


def _stretched_operator(site: Site, samples: int) -> Operator:
    op = site.op
    if isinstance(op, Reshape):
        return replace(op, shape=(samples, *site.output().type.shape[1:]))
    if isinstance(op, Slice):
        return replace(op, size=(samples, *op.size[1:]))
    return op


def _keeps_samples_apart(site: Site, stretched: list[int]) -> bool:
    """Whether sample n of the outputs depends on sample n of the inputs `stretched` alone, and stays in place n."""
    if not all(_leads(value.type.shape) for value in site.outputs):
        return False
    if not all(_leads(site.input(i).type.shape) for i in stretched):
        return False
    op = site.op
    if isinstance(op, _ALWAYS_APART):
        return True
    if isinstance(op, WeightedOperator):
        return stretched == [0] and len(site.input(0).type.shape) > 1
    if isinstance(op, BinaryOperator | Select):
        return _aligned(site, stretched)
    if isinstance(op, BatchMatmul):
        return _aligned(site, stretched) and len(site.output().type.shape) > 2
    if isinstance(op, Concatenation):
        return len(stretched) == len(site.inputs) and _is_inner(op.axis, site)
    return _keeps_first_axis(op, site)


def _aligned(site: Site, stretched: list[int]) -> bool:
    """Whether operands that broadcast have the samples in the first dimension of the output, or no part of it."""
    rank = len(site.output().type.shape)
    fixed = [value for position, value in enumerate(site.inputs) if position not in stretched and value is not None]
    return all(len(site.input(i).type.shape) == rank for i in stretched) and all(
        value.role is Role.CONSTANT and (len(value.type.shape) < rank or _leads(value.type.shape)) for value in fixed
    )


def _is_inner(axis: int, site: Site) -> bool:
    rank = len(site.input(0).type.shape)
    return wrap_axis(axis, rank, site.source) != 0


def _keeps_first_axis(op: Operator, site: Site) -> bool:
    """Operators of one changing input: whether their attributes leave the first dimension alone."""
    if isinstance(op, Softmax):
        return len(site.input(0).type.shape) > 1
    if isinstance(op, ConstantPadding | MirrorPad):
        return op.paddings[0] == (0, 0)
    if isinstance(op, Reduction):
        return 0 not in op.reduced(site)
    if isinstance(op, Transpose):
        return op.permutation[0] == 0
    if isinstance(op, Cut | ArgExtreme):
        return _is_inner(op.axis, site)
    if isinstance(op, Squeeze):
        return bool(op.axes) and all(_is_inner(axis, site) for axis in op.axes)
    if isinstance(op, ExpandDims):
        return op.axis not in (0, -len(site.output().type.shape))
    if isinstance(op, Slice):
        return op.begin[0] == 0 and op.size[0] in (1, -1)
    return isinstance(op, StridedSlice) and bool(op.begin_mask & op.end_mask & 1) and not op.shrink_mask & 1
