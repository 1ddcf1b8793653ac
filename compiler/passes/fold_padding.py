"""Let a sliding window see the frame that a PAD would write: the frame then takes no memory and no time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import quantized_range
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.pad import ConstantPadding, stored_zero
from thimble.compiler.ops.pool_2d import MaxPool2D
from thimble.compiler.ops.window import Axis, ExplicitPadding
from thimble.compiler.passes.draft import Draft


def fold_padding(graph: Graph) -> Graph:
    """Fold each PAD and PADV2 along height and width into its readers, where all of them take it exactly.

    A convolution does where the frame holds its input's zero point, which adds nothing to a sum. A max pool does
    where the frame holds no more than the least it can store, and none of its windows lies in the frame alone. An
    average pool does not: it would divide by another count.
    """
    draft = Draft(graph)
    for position in reversed(draft.positions):  # a PAD behind another one goes first
        pad = draft.site(position)
        if not isinstance(pad.op, ConstantPadding) or not _frames_images(pad):
            continue
        source, padded = draft.node(position).inputs[0], draft.node(position).outputs[0]
        readers = draft.readers(padded)
        if source is None or not draft.may_be_read_later(source) or padded in draft.outputs or not readers:
            continue
        if not all(_takes(pad, draft.site(reader), draft.node(reader).inputs.count(padded)) for reader in readers):
            continue
        for reader in readers:
            node = draft.node(reader)
            operator = _with_frame(pad, draft.site(reader))
            draft.nodes[reader] = replace(node, op=operator, inputs=(source, *node.inputs[1:]))
        draft.nodes[position] = None
    return draft.finish()


def _frames_images(pad: Site) -> bool:
    """Whether the frame lies along height and width only, and what is inside keeps its quantization."""
    assert isinstance(pad.op, ConstantPadding)
    paddings, given, made = pad.op.paddings, pad.input(0).type, pad.output().type
    return given.quant == made.quant and len(paddings) == 4 and paddings[0] == paddings[3] == (0, 0)


def _takes(pad: Site, reader: Site, uses: int) -> bool:
    """Whether `reader` gives the same bytes without the frame being written; `uses` counts its reads of the pad."""
    assert isinstance(pad.op, ConstantPadding)
    fill = pad.op.fill(pad)
    if uses != 1 or reader.input(0) is not pad.output():
        return False
    if isinstance(reader.op, WindowConvolution):
        return fill == stored_zero(pad)
    if isinstance(reader.op, MaxPool2D):
        if reader.output().type.dtype is DType.FLOAT32:
            return fill == -np.inf and _all_windows_meet(pad, reader)
        lowest, _ = quantized_range(reader.op.activation, reader.output().quant, reader.output().type.dtype)
        return fill <= lowest and _all_windows_meet(pad, reader)
    return False


def _all_windows_meet(pad: Site, pool: Site) -> bool:
    """Whether each window holds an element of what is inside of the frame."""
    assert isinstance(pool.op, MaxPool2D)
    op = _with_frame(pad, pool)
    assert isinstance(op, MaxPool2D)
    axes = op.axes(replace(pool, inputs=(pad.input(0), *pool.inputs[1:])))
    return all(max(axis.overhang) < axis.kernel for axis in axes)


def _with_frame(pad: Site, reader: Site) -> WindowConvolution | MaxPool2D:
    """The reader's operator over the pad's input: the frame joins the padding that it has already."""
    assert isinstance(reader.op, WindowConvolution | MaxPool2D)
    assert isinstance(pad.op, ConstantPadding)
    rows, columns = reader.op.axes(reader)
    _, along_height, along_width, _ = pad.op.paddings
    padding = ExplicitPadding(_joined(along_height, rows), _joined(along_width, columns))
    return replace(reader.op, padding=padding)


def _joined(frame: tuple[int, int], axis: Axis) -> tuple[int, int]:
    """Elements (before, after) the input: the frame, and what the window reaches beyond it."""
    before, after = axis.overhang
    return frame[0] + before, frame[1] + after
