"""Give convolutions the addition behind them, so that what lies between them is never stored."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Node, Role, Site
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.add_sub import AddOrSub
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.conv_2d_add import Conv2DAdd
from thimble.compiler.passes.draft import Draft


def fuse_additions(graph: Graph) -> Graph:
    """The graph with each int8 addition that alone reads a convolution made a part of it.

    Of two convolutions the later one is taken. The other operand must be there before it runs: where that is made
    later, the convolution moves behind, if no state may change in between.
    """
    draft = Draft(graph)
    for position in draft.positions:
        node = draft.node(position)
        if not isinstance(node.op, AddOrSub) or not _is_plain(draft.site(position)):
            continue
        makers = [None if value is None else draft.writer(value) for value in node.inputs]
        order = [-1 if maker is None else maker for maker in makers]
        for operand in sorted(range(2), key=lambda i: -order[i]):
            writer, is_late = order[operand], order[operand] > order[1 - operand]
            if writer < 0 or not (is_late or not graph.states):
                continue
            fused = _fused(draft, writer, position, operand)
            if fused is not None:
                draft.nodes[writer] = draft.nodes[position] = None
                draft.nodes[writer if is_late else position] = fused
                break
    return draft.finish()


def _is_plain(site: Site) -> bool:
    """Whether an addition has two different operands of its output's shape, all int8, that are computed or given."""
    values = (site.input(0), site.input(1), site.output())
    given = all(value.role in (Role.ACTIVATION, Role.INPUT) for value in values)
    alike = {(value.type.shape, value.type.dtype) for value in values} == {(values[2].type.shape, DType.INT8)}
    return given and alike and values[0] is not values[1]


def _fused(draft: Draft, writer: int, reader: int, operand: int) -> Node | None:
    """The node of a convolution and of the addition that reads it as an operand; None where they stay apart."""
    convolution, addition, site = draft.node(writer), draft.node(reader), draft.site(writer)
    op, added = convolution.op, addition.op
    if not isinstance(op, Conv2D) or op.writes_late or not isinstance(added, AddOrSub):
        return None
    if {site.input(0).type.dtype, site.input(1).type.dtype} != {DType.INT8}:
        return None
    if draft.only_reader(convolution.outputs[0]) != reader:
        return None
    bias = convolution.inputs[2] if len(convolution.inputs) > 2 else None
    return replace(
        convolution,
        op=Conv2DAdd(op, added, site.output().quant, residual_comes_first=operand == 1),
        inputs=(*convolution.inputs[:2], bias, addition.inputs[1 - operand]),
        outputs=addition.outputs,
        source=f"{convolution.source}, {addition.source}",
    )
