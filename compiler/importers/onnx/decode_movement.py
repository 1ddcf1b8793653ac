"""Decoders of operators that move elements without computing on them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.layout import common_order, element_wise, pick, scalar
from thimble.compiler.importers.onnx.padding import pad_tensor, pairs_of
from thimble.compiler.importers.onnx.tensors import checked_shape
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.cast import Cast
from thimble.compiler.ops.comparison import Less
from thimble.compiler.ops.gather import Gather
from thimble.compiler.ops.join import Concatenation
from thimble.compiler.ops.select import BroadcastTo, Select
from thimble.compiler.ops.slice import Slice, StridedSlice
from thimble.compiler.ops.split import SplitV

MAX_OUTPUTS = 1 << 10


def _identity(node: FileNode) -> Sequence[Tensor]:
    return [node.input()]


def _dropout(node: FileNode) -> Sequence[Tensor]:
    training = node.optional(2)
    if training is not None and bool(node.constant(2, "training mode").any()):
        raise node.refused("it is in training mode; export the model for inference.")
    if node.output_count > 1:
        raise node.refused("its mask is not supported.")
    return [node.input()]


def _reshape(node: FileNode) -> Sequence[Tensor]:
    shape = node.shape()
    asked = node.integers(1, "new shape")
    if not node.integer("allowzero", 0):
        if any(dim == 0 and position >= len(shape) for position, dim in enumerate(asked)):
            raise node.malformed("it copies a dimension that its input does not have.")
        asked = tuple(shape[position] if dim == 0 else dim for position, dim in enumerate(asked))
    known = prod(dim for dim in asked if dim != -1)
    if asked.count(-1) > 1 or min(asked, default=0) < -1 or (-1 in asked and (not known or prod(shape) % known)):
        raise node.malformed(f"it asks for the impossible shape {asked}.")
    return [node.builder.reshape(node.input(), (prod(shape) // known if dim == -1 else dim for dim in asked))]


def _flatten(node: FileNode) -> Sequence[Tensor]:
    shape = node.shape()
    axis = node.integer("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        raise node.malformed(f"it flattens around axis {axis} of {len(shape)}.")
    axis = axis + len(shape) if axis < 0 else axis
    return [node.builder.reshape(node.input(), (prod(shape[:axis]), prod(shape[axis:])))]


def _squeeze(node: FileNode) -> Sequence[Tensor]:
    shape, axes = node.shape(), node.axes()
    dropped = {node.axis(a, len(shape)) for a in axes} if axes else {i for i, dim in enumerate(shape) if dim == 1}
    if any(shape[axis] != 1 for axis in dropped):
        raise node.malformed(f"it squeezes axes {axes} of {shape}, and not all are 1.")
    return [node.builder.reshape(node.input(), (dim for i, dim in enumerate(shape) if i not in dropped))]


def _unsqueeze(node: FileNode) -> Sequence[Tensor]:
    shape, axes = node.shape(), node.axes()
    if axes is None:
        raise node.malformed("it names no axes.")
    rank = len(shape) + len(axes)
    added = {node.axis(axis, rank) for axis in axes}
    if len(added) != len(axes):
        raise node.malformed("it names one axis twice.")
    rest = iter(shape)
    return [node.builder.reshape(node.input(), (1 if i in added else next(rest) for i in range(rank)))]


def _transpose(node: FileNode) -> Sequence[Tensor]:
    """Nothing moves: the tensor is only read in another order."""
    x, rank = node.input(), len(node.shape())
    permutation = node.ints("perm") or tuple(reversed(range(rank)))
    if sorted(permutation) != list(range(rank)):
        raise node.malformed(f"{permutation} is no order of {rank} dimensions.")
    return [Tensor(x.index, tuple(permutation.index(axis) for axis in x.order))]


def concatenate(builder: Builder, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Tensors side by side along `axis` of the ONNX shape; those without elements add nothing."""
    filled = [t for t in tensors if builder.value(t).type.elements] or list(tensors[:1])
    order = common_order(builder, filled, len(filled[0].order))
    indices = [builder.ordered(t, order).index for t in filled]
    if len(indices) == 1:
        return builder.tensor(indices[0], order)
    (result,) = builder.emit(Concatenation(order.index(axis)), indices)
    return builder.tensor(result, order)


def _concat(node: FileNode) -> Sequence[Tensor]:
    tensors = [node.input(i) for i in range(len(node.inputs))]
    if not tensors or not node.has("axis"):
        raise node.malformed("it has no inputs or no axis.")
    ranks = {len(node.shape(i)) for i in range(len(tensors))}
    if len(ranks) != 1 or ranks == {0} or len({node.dtype(i) for i in range(len(tensors))}) != 1:
        raise node.malformed("its inputs are of different ranks or types.")
    return [concatenate(node.builder, tensors, node.axis(node.integer("axis", 0), ranks.pop()))]


def split(builder: Builder, x: Tensor, axis: int, sizes: Sequence[int]) -> list[Tensor]:
    """Parts of `sizes` along `axis` of the ONNX shape."""
    if len(sizes) == 1:
        return [x]
    op = SplitV(x.order.index(axis), tuple(sizes))
    return [builder.tensor(index, x.order) for index in builder.emit(op, [x.index], count=len(sizes))]


def _split(node: FileNode) -> Sequence[Tensor]:
    shape = node.shape()
    axis = node.axis(node.integer("axis", 0), len(shape))
    sizes = node.integers(1, "sizes") if node.optional(1) is not None else node.ints("split")
    count = node.integer("num_outputs", len(node.proto.output))
    if not 0 < count <= MAX_OUTPUTS or count != len(node.proto.output):
        raise node.malformed(f"it cuts its input into {count} parts for {len(node.proto.output)} outputs.")
    if sizes is None:
        each = -(-shape[axis] // count)
        sizes = (*(each for _ in range(count - 1)), shape[axis] - each * (count - 1))
    if len(sizes) != count or min(sizes) < 0 or sum(sizes) != shape[axis]:
        raise node.malformed(f"it cuts {shape[axis]} slices into parts of {sizes}.")
    return split(node.builder, node.input(), axis, sizes)


def _slice(node: FileNode) -> Sequence[Tensor]:
    shape, rank = node.shape(), len(node.shape())
    if node.opset < 10:
        starts, ends, axes = node.ints("starts") or (), node.ints("ends") or (), node.ints("axes")
        steps = None
    else:
        starts, ends = node.integers(1, "starts"), node.integers(2, "ends")
        axes = None if node.optional(3) is None else node.integers(3, "axes")
        steps = None if node.optional(4) is None else node.integers(4, "steps")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise node.malformed("it needs a start, an end and a step other than 0 for each axis.")
    spans = [(0, dim, 1) for dim in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = node.axis(axis, rank)
        first, last, stride = slice(start, end, step).indices(shape[axis])
        spans[axis] = (first, len(range(first, last, stride)), stride)
    return [take_box(node.builder, node.input(), spans)]


def take_box(builder: Builder, x: Tensor, spans: Sequence[tuple[int, int, int]]) -> Tensor:
    """(first, count, step) elements along each dimension of the ONNX shape."""
    stored = [spans[axis] for axis in x.order]
    shape = builder.value(x).type.shape
    if all(span == (0, dim, 1) for span, dim in zip(stored, shape, strict=True)):
        return x
    first, counts = tuple(s[0] for s in stored), tuple(s[1] for s in stored)
    op: Operator = Slice(first, counts)
    if any(step != 1 for _, _, step in stored):
        ends = tuple(f + c * step for f, c, step in stored)
        edges = sum(1 << i for i, end in enumerate(ends) if end < 0)
        op = StridedSlice(first, ends, tuple(s[2] for s in stored), 0, edges, 0)
    (result,) = builder.emit(op, [x.index])
    return builder.tensor(result, x.order)


def _pad(node: FileNode) -> Sequence[Tensor]:
    rank = len(node.shape())
    pads = node.integers(1, "pads") if node.opset >= 11 else node.ints("pads") or ()
    axes = node.integers(3, "axes") if node.optional(3) is not None else tuple(range(rank))
    if len(pads) != 2 * len(axes):
        raise node.malformed(f"it has {len(pads)} pads for {len(axes)} axes.")
    paddings = [(0, 0)] * rank
    for axis, pair in zip(axes, pairs_of(pads), strict=True):
        paddings[node.axis(axis, rank)] = pair
    value: float | int = node.number("value", 0.0) if node.opset < 11 else 0
    if node.optional(2) is not None:
        value = node.constant(2, "padding value").reshape(-1)[0].item()
    mode = node.text("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise node.malformed("its mode does not exist.")
    return [pad_tensor(node.builder, node.input(), paddings, mode, value)]


def _gather(node: FileNode) -> Sequence[Tensor]:
    b, shape = node.builder, node.shape()
    if not shape:
        raise node.malformed("it gathers from a scalar.")
    axis = node.axis(node.integer("axis", 0), len(shape))
    indices = _wrapped(node, node.input(1), shape[axis])
    return [b.apply(Gather(axis, 0), [node.input(), indices])]


def _wrapped(node: FileNode, indices: Tensor, size: int) -> Tensor:
    """Indices as int32, those below 0 counted from the end."""
    b = node.builder
    if b.is_constant(indices):
        array = b.array(indices)
        if array.size and (int(array.min()) < -size or int(array.max()) >= size):
            raise node.malformed(f"an index is outside of its dimension of {size}.")
        return b.constant(np.where(array < 0, array + size, array).astype(np.int32))
    narrow = b.apply(Cast(), [indices], DType.INT32)
    below = element_wise(b, Less(), [narrow, scalar(b, 0, narrow)], DType.BOOL)
    wrapped = element_wise(b, Add(Activation.NONE), [narrow, scalar(b, size, narrow)])
    return element_wise(b, Select(), [below, wrapped, narrow], DType.INT32)


def _expand(node: FileNode) -> Sequence[Tensor]:
    shape, asked = node.shape(), node.integers(1, "shape")
    try:
        target = np.broadcast_shapes(shape, checked_shape(asked, 1, node.source))
    except ValueError as error:
        raise node.malformed(f"it cannot expand {shape} to {asked}.") from error
    if target == shape:
        return [node.input()]
    return [node.builder.apply(BroadcastTo(target), [node.input()])]


def _tile(node: FileNode) -> Sequence[Tensor]:
    x, shape, repeats = node.input(), node.shape(), node.integers(1, "repeats")
    if len(repeats) != len(shape) or min(repeats, default=1) < 0:
        raise node.malformed(f"it repeats {shape} {repeats} times.")
    checked_shape(tuple(a * b for a, b in zip(shape, repeats, strict=True)), 8, node.source)
    for axis, count in enumerate(repeats):
        x = pick(node.builder, x, axis, np.tile(np.arange(shape[axis]), count))
    return [x]


def _depth_to_space(node: FileNode) -> Sequence[Tensor]:
    """Made of a reshape and a transpose, as ONNX defines it: the mode says in which order the channels lie."""
    shape, block = node.shape(), node.integer("blocksize", 0)
    mode = node.text("mode", "DCR")
    if len(shape) != 4 or block < 1 or shape[1] % (block * block) or mode not in ("DCR", "CRD"):
        raise node.malformed(f"it cannot make blocks of {block} from {shape}.")
    batch, channels, height, width = shape
    depth = channels // (block * block)
    parts = (block, block, depth) if mode == "DCR" else (depth, block, block)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    return [_regroup(node, (batch, *parts, height, width), order, (batch, depth, height * block, width * block))]


def _space_to_depth(node: FileNode) -> Sequence[Tensor]:
    shape, block = node.shape(), node.integer("blocksize", 0)
    mode = node.text("mode", "DCR")
    if len(shape) != 4 or block < 1 or shape[2] % block or shape[3] % block or mode not in ("DCR", "CRD"):
        raise node.malformed(f"it cannot cut {shape} into blocks of {block}.")
    batch, channels, height, width = shape
    parts = (batch, channels, height // block, block, width // block, block)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return [_regroup(node, parts, order, (batch, channels * block * block, height // block, width // block))]


def _regroup(node: FileNode, parts: tuple[int, ...], order: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    b = node.builder
    cut = b.reshape(node.input(), parts)
    moved = b.ordered(cut, order)
    return b.reshape(b.tensor(moved.index), shape)


DECODERS: dict[str, Decoder] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
