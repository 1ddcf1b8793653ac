"""Let an operator clamp its own output in place of a RELU, RELU6, MINIMUM or MAXIMUM behind it."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation, bounds_fit, quantized_range
from thimble.compiler.ops.add_sub import AddOrSub
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.mul import Mul
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.value_table import value_table
from thimble.compiler.passes.draft import Draft

Clamping = WeightedOperator | AddOrSub | Mul | Pool2D
"""The operators that have a fused activation."""


def fold_activations(graph: Graph) -> Graph:
    """Fold a node that only clamps stored values into the one before it, where a fused activation clamps to the same.

    The clamped value must have the type of the unclamped one, quantization included, and be its only reader.
    """
    draft = Draft(graph)
    for position in draft.positions:
        clamp = draft.site(position)
        table = value_table(clamp)
        if table is None or not table.clamps or clamp.input(table.operand).type != clamp.output().type:
            continue
        source = draft.node(position).inputs[table.operand]
        assert source is not None
        writer = draft.writer(source)
        if writer is None or draft.only_reader(source) != position:
            continue
        operator = _with_clamp(draft.site(writer), table.limits)
        if operator is None:
            continue
        draft.nodes[writer] = replace(draft.node(writer), op=operator, outputs=draft.node(position).outputs)
        draft.nodes[position] = None
    return draft.finish()


def _with_clamp(site: Site, limits: tuple[int, int]) -> Operator | None:
    """The operator with the activation that clamps its output to what its own, and then `limits`, leave of it."""
    output = site.output().type
    if not isinstance(site.op, Clamping) or output.dtype not in (DType.INT8, DType.INT16) or output.quant is None:
        return None
    low, high = quantized_range(site.op.activation, output.quant, output.dtype)
    low, high = max(low, limits[0]), min(high, limits[1])
    if low > high:
        return None
    possible = [a for a in Activation if bounds_fit(a, output.quant)]
    fitting = [a for a in possible if quantized_range(a, output.quant, output.dtype) == (low, high)]
    return replace(site.op, activation=fitting[0]) if fitting else None
