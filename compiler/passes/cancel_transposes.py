"""Remove transposes: pairs that undo each other, those that move nothing in memory, those before a reduction."""

from __future__ import annotations

from dataclasses import replace

from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ir.operator import Shape
from thimble.compiler.ops.reduce import Reduction
from thimble.compiler.ops.reshape import Reshape
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.passes.draft import Draft

Permutation = tuple[int, ...]


def cancel_transposes(graph: Graph) -> Graph:
    """Merge each transpose into a transpose behind it, and set it behind a reduction that reads it.

    Behind a reduction it has fewer elements to move, and it may meet the next transpose or reduction. One that only
    moves dimensions of 1 leaves every byte in place: it becomes a RESHAPE.
    """
    draft = Draft(graph)
    for position in draft.positions:
        before = _transpose_before(draft, position)
        if before is not None and isinstance(draft.node(position).op, Transpose):
            _merge(draft, before, position)
        elif before is not None and isinstance(draft.node(position).op, Reduction):
            _swap_with_reduction(draft, before, position)
    for position in draft.positions:
        op, site = draft.node(position).op, draft.site(position)
        if isinstance(op, Transpose) and _moves_nothing(op.permutation, site.input(0).type.shape):
            draft.nodes[position] = replace(draft.node(position), op=Reshape(site.output().type.shape))
    return draft.finish()


def _transpose_before(draft: Draft, position: int) -> int | None:
    """The transpose that makes a node's first input, if what it reads itself can still be read here."""
    inputs = draft.node(position).inputs
    writer = None if not inputs or inputs[0] is None else draft.writer(inputs[0])
    if writer is None or not isinstance(draft.node(writer).op, Transpose):
        return None
    return writer if draft.may_be_read_later(_source(draft, writer)) else None


def _source(draft: Draft, position: int) -> int:
    source = draft.node(position).inputs[0]
    assert source is not None
    return source


def _merge(draft: Draft, before: int, position: int) -> None:
    """Transpose once by both orders; not where the one before has to stay, unless that leaves nothing to move."""
    first, second = draft.node(before), draft.node(position)
    assert isinstance(first.op, Transpose)
    assert isinstance(second.op, Transpose)
    both = tuple(first.op.permutation[axis] for axis in second.op.permutation)
    alone = draft.only_reader(first.outputs[0]) == position
    if alone or _moves_nothing(both, draft.values[_source(draft, before)].type.shape):
        draft.nodes[position] = replace(second, op=Transpose(both), inputs=first.inputs)
        if alone:
            draft.nodes[before] = None


def _swap_with_reduction(draft: Draft, before: int, position: int) -> None:
    """Reduce what the transpose reads, along the axes in their order there, and transpose the result."""
    transpose, reduction, site = draft.node(before), draft.node(position), draft.site(position)
    if draft.only_reader(transpose.outputs[0]) != position:
        return
    assert isinstance(transpose.op, Transpose)
    assert isinstance(reduction.op, Reduction)
    order, reduced = transpose.op.permutation, reduction.op.reduced(site)
    operator = replace(reduction.op, axes=tuple(sorted(order[axis] for axis in reduced)))
    if not operator.keep_dims:
        left = [source for axis, source in enumerate(order) if axis not in reduced]
        order = tuple(sorted(left).index(source) for source in left)
    result = site.output()
    (shape,) = operator.shapes(replace(site, inputs=draft.site(before).inputs))
    between = draft.add(Value(result.name, replace(result.type, shape=shape)))
    draft.nodes[before] = replace(reduction, op=operator, inputs=transpose.inputs, outputs=(between,))
    draft.nodes[position] = replace(transpose, op=Transpose(order), inputs=(between,), outputs=reduction.outputs)


def _moves_nothing(permutation: Permutation, shape: Shape) -> bool:
    """Whether the dimensions of an input of `shape` that are not 1 keep their order."""
    moved = [axis for axis in permutation if shape[axis] != 1]
    return moved == sorted(moved)
