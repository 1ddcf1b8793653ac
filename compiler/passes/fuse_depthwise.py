"""Give convolutions the depthwise one behind them, so that what lies between them is never stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Node, Role, Site
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.conv_2d_depthwise import Conv2DDepthwise
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.passes.draft import Draft

Chooses = Callable[[int, Site], bool]
"""Whether a depthwise convolution, by its position in the graph, becomes a part of this node."""


def everywhere(position: int, site: Site) -> bool:
    """Chooses all of them."""
    return True


def fuse_depthwise(graph: Graph, chooses: Chooses = everywhere) -> Graph:
    """The graph with each int8 depthwise convolution that alone reads another convolution, and is chosen, made one
    node with that."""
    draft = Draft(graph)
    for position in draft.positions:
        if not isinstance(draft.node(position).op, DepthwiseConv2D):
            continue
        given = draft.node(position).inputs[0]
        writer = None if given is None else draft.writer(given)
        fused = None if writer is None else _fused(draft, writer, position)
        if writer is None or fused is None:
            continue
        kept = draft.nodes[position]
        draft.nodes[position] = fused
        if chooses(position, draft.site(position)):
            draft.nodes[writer] = None
        else:
            draft.nodes[position] = kept
    return draft.finish()


def _fused(draft: Draft, writer: int, reader: int) -> Node | None:
    """The node of a convolution and of the depthwise one that reads it; None where they stay apart."""
    first, second = draft.node(writer), draft.node(reader)
    convolution, depthwise = first.op, second.op
    if not isinstance(convolution, Conv2D) or not isinstance(depthwise, DepthwiseConv2D):
        return None
    sites = draft.site(writer), draft.site(reader)
    if convolution.writes_late or not _is_plain(depthwise) or not all(map(_is_int8, sites)):
        return None
    given = first.inputs[0]
    if given is None or not draft.may_be_read_later(given) or draft.only_reader(first.outputs[0]) != reader:
        return None
    bias = first.inputs[2] if len(first.inputs) > 2 else None
    return replace(
        second,
        op=Conv2DDepthwise(convolution, depthwise, sites[0].output().type),
        inputs=(*first.inputs[:2], bias, *second.inputs[1:]),
        source=f"{first.source}, {second.source}",
    )


def _is_plain(op: DepthwiseConv2D) -> bool:
    return (op.multiplier, op.dilation_height, op.dilation_width) == (1, 1, 1) and not op.writes_late


def _is_int8(site: Site) -> bool:
    """Whether a node computes on int8 alone, with constant weights."""
    values = (site.input(0), site.input(1), site.output())
    return {value.type.dtype for value in values} == {DType.INT8} and site.input(1).role is Role.CONSTANT
