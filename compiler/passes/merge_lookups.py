"""Make one table of operators that each map stored int8 values one by one, and drop those that change nothing."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.lookup import Lookup
from thimble.compiler.ops.value_table import ValueTable, value_table
from thimble.compiler.passes.draft import Draft


def merge_lookups(graph: Graph) -> Graph:
    """Compose each chain of such operators, QUANTIZE and activations among them, over all 256 values into one LOOKUP.

    The composed table gives the same bytes by construction. A node that maps every value to itself between values of
    one type, such as a QUANTIZE between equal parameters, goes.
    """
    draft = Draft(graph)
    for position in draft.positions:
        table = value_table(draft.site(position))
        if table is None:
            continue
        if table.is_identity and table.operand == 0 and draft.drop_copy(position):
            continue
        _merge_with_writer(draft, position, table)
    return draft.finish()


def _merge_with_writer(draft: Draft, position: int, second: ValueTable) -> None:
    """Read what the node before reads, where the two compose; the node before goes."""
    between = draft.node(position).inputs[second.operand]
    assert between is not None
    writer = draft.writer(between)
    if writer is None or draft.only_reader(between) != position:
        return
    first = value_table(draft.site(writer))
    if first is None or draft.values[between].type.dtype is not DType.INT8:
        return
    source = draft.node(writer).inputs[first.operand]
    assert source is not None
    if not draft.may_be_read_later(source):
        return
    composed = second.results[first.results - second.lowest]
    node = draft.node(position)
    draft.nodes[position] = replace(node, op=Lookup(tuple(map(int, composed))), inputs=(source,))
    draft.nodes[writer] = None
