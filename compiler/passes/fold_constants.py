"""Compute nodes whose inputs are all constant at compile time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Role, Value, constant
from thimble.compiler.ir.operator import Array, Rounding
from thimble.compiler.passes.draft import Draft

MAX_GROWTH_BYTES = 256
"""What a folded node may add to flash: no more than the code and parameters of a layer's call take away from it."""


def fold_constants(graph: Graph) -> Graph:
    """Replace each such node's outputs by what the integer reference gives, where both roundings give the same bytes.

    A result that is larger than the constants it sets free by more than MAX_GROWTH_BYTES stays computed: flash holds
    constants for good, the arena holds a result for a while.
    """
    draft = Draft(graph)
    for position in draft.positions:
        node = draft.node(position)
        operands = [None if i is None else draft.values[i] for i in node.inputs]
        roles = {value.role for value in operands if value is not None}
        if node.op.state_inputs or not node.outputs or roles != {Role.CONSTANT}:
            continue
        results = _results(draft, position, operands) if _growth_bytes(draft, position) <= MAX_GROWTH_BYTES else None
        if results is None:
            continue
        for index, result in zip(node.outputs, results, strict=True):
            made = draft.values[index]
            folded = constant(made.name, result.reshape(made.type.shape), made.type)
            draft.values[index] = replace(folded, tensor=made.tensor)
        draft.nodes[position] = None
    return draft.finish()


def _growth_bytes(draft: Draft, position: int) -> int:
    """Bytes of the results less those of the constants that this node alone reads."""
    node = draft.node(position)
    freed = {i for i in node.inputs if i is not None and draft.only_reader(i) == position}
    return sum(draft.values[i].type.bytes for i in node.outputs) - sum(draft.values[i].type.bytes for i in freed)


def _results(draft: Draft, position: int, operands: list[Value | None]) -> tuple[Array, ...] | None:
    site = draft.site(position)
    arrays = [np.zeros(0, np.int8) if value is None else value.constant for value in operands]
    tflm, litert = (site.op.reference(site, arrays, rounding) for rounding in (Rounding.TFLM, Rounding.LITERT))
    same = all(a.tobytes() == b.tobytes() for a, b in zip(tflm, litert, strict=True))
    return tflm if same else None
