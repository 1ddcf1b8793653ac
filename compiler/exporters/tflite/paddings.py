"""Paddings that a TFLite file cannot say beside its windows, as operators of their own before them."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.pad import ConstantPadding, Pad, PadV2
from thimble.compiler.ops.pool_2d import MaxPool2D, Pool2D
from thimble.compiler.ops.window import ExplicitPadding, Padding


def spell_out_paddings(graph: Graph) -> Graph:
    """The graph with SAME or VALID in place of every explicit padding, a PAD before the window where it needs one.

    Raises UnsupportedOp for an average over a window that reaches beyond its input by other numbers than SAME.
    """
    values, nodes = list(graph.values), []
    for node, site in zip(graph.nodes, graph.sites, strict=True):
        op = node.op
        if not isinstance(op, WindowConvolution | Pool2D) or not isinstance(op.padding, ExplicitPadding):
            nodes.append(node)
            continue
        same = replace(op, padding=Padding.SAME)
        if _axes(same, site) == _axes(op, site):
            nodes.append(replace(node, op=same))
            continue
        source, frame = site.input(0), _frame(site)
        shape = tuple(a + d + b for d, (a, b) in zip(source.type.shape, frame.paddings, strict=True))
        type_ = replace(source.type, shape=shape)
        values.append(Value(f"{source.name}/padded", type_, Role.ACTIVATION))
        padded = len(values) - 1
        nodes.append(Node(frame, node.inputs[:1], (padded,), f"{node.source}, its padding"))
        window = replace(op, padding=Padding.VALID)
        nodes.append(replace(node, op=window, inputs=(padded, *node.inputs[1:])))
    return replace(graph, values=tuple(values), nodes=tuple(nodes))


def _axes(op: Operator, site: Site) -> object:
    """The windows' geometry; two paddings that give the same are the same."""
    assert isinstance(op, WindowConvolution | Pool2D)
    return op.axes(site)


def _frame(site: Site) -> ConstantPadding:
    """The operator that pads a window's input: by zeros, for a maximum by what never wins."""
    op = site.op
    assert isinstance(op, WindowConvolution | Pool2D)
    assert isinstance(op.padding, ExplicitPadding)
    paddings = ((0, 0), op.padding.along_height, op.padding.along_width, (0, 0))
    if isinstance(op, WindowConvolution):
        return Pad(paddings)
    if isinstance(op, MaxPool2D):
        dtype = site.input(0).type.dtype
        return PadV2(paddings, float("-inf") if dtype is DType.FLOAT32 else dtype.range[0])
    raise UnsupportedOp(f"{site.source} averages over padding that a TFLite file cannot say.")
