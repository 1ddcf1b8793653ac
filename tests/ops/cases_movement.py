"""Rows for operators that move elements without computing on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil, prod
from typing import Any

import numpy as np
from ai_edge_litert.schema_py_generated import TensorType as FileType

from tests.ops.case import OpCase
from tests.ops.draws import scale, zero_point
from tests.tflite_builder import ModelBuilder
from thimble.compiler.ir.types import TensorType

RESOURCE = FileType.RESOURCE


def shape_of(rng: np.random.Generator, low: int, high: int, limit: int = 5) -> tuple[int, ...]:
    """A shape of `low` to `high` dimensions, each 1 to `limit`."""
    return tuple(int(d) for d in rng.integers(1, limit + 1, int(rng.integers(low, high + 1))))


def moved(m: ModelBuilder, rng: np.random.Generator, dtype: Any, *shapes: Sequence[int]) -> list[int]:
    """Activation tensors of one type and, where it is a quantized one, one scale and zero point."""
    quantized = np.dtype(dtype) in (np.int8, np.int16)
    x_scale = scale(rng) if quantized else None
    zero = zero_point(rng) if np.dtype(dtype) == np.int8 else 0
    return [m.tensor(shape, dtype, x_scale, zero) for shape in shapes]


def signed_axis(rng: np.random.Generator, axis: int, rank: int) -> int:
    """The axis as it is, or counted from the end."""
    return axis - rank if rng.random() < 0.5 else axis


def finish(m: ModelBuilder, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    """The model with its interface."""
    m.interface(inputs, outputs)
    return m.build()


def reshape(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """A shape input with or without -1, or the shape in the options only, or in the output tensor only."""
    shape = shape_of(rng, 0, 5)
    order = rng.permutation(np.array(shape, int))
    cuts = np.sort(rng.integers(0, len(shape) + 1, int(rng.integers(0, 4))))
    new = [prod(int(d) for d in part) for part in np.split(order, cuts)]
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, new)
    asked = list(new)
    if rng.random() < 0.4:
        asked[int(rng.integers(len(asked)))] = -1
    where = rng.integers(4)
    inputs = [x] if where > 1 else [x, m.const(asked)]
    if where % 2:
        m.op("RESHAPE", inputs, [y], "ReshapeOptions", newShape=asked)
    else:
        m.op("RESHAPE", inputs, [y])
    return finish(m, [x], [y])


def squeeze(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """Named axes of 1, or all of them."""
    shape = np.array(shape_of(rng, 1, 5))
    ones = rng.random(len(shape)) < 0.5
    shape[ones] = 1
    every = bool(rng.random() < 0.3)
    dropped = shape == 1 if every or not ones.any() else ones
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, shape[~dropped])
    axes = [] if every else [signed_axis(rng, int(a), len(shape)) for a in np.flatnonzero(dropped)]
    m.op("SQUEEZE", [x], [y], "SqueezeOptions", squeezeDims=axes)
    return finish(m, [x], [y])


def expand_dims(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """A new axis anywhere."""
    shape = shape_of(rng, 0, 4)
    axis = int(rng.integers(len(shape) + 1))
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, (*shape[:axis], 1, *shape[axis:]))
    m.op("EXPAND_DIMS", [x, m.const([signed_axis(rng, axis, len(shape) + 1)])], [y], "ExpandDimsOptions")
    return finish(m, [x], [y])


def paddings_for(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Up to 3 elements on either side of each dimension, often none."""
    return rng.integers(0, 4, (len(shape), 2)) * (rng.random((len(shape), 2)) < 0.6)


def pad(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """1 to 5 dimensions."""
    shape = shape_of(rng, 1, 5, 4)
    paddings = paddings_for(rng, shape)
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, shape + paddings.sum(axis=1))
    m.op("PAD", [x, m.const(paddings)], [y], "PadOptions")
    return finish(m, [x], [y])


def padv2(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """A padding value from the whole range of the type."""
    shape = shape_of(rng, 1, 5, 4)
    paddings = paddings_for(rng, shape)
    m = ModelBuilder()
    x_scale, zero = scale(rng), zero_point(rng) if dtype is np.int8 else 0
    info = np.finfo(dtype) if dtype is np.float32 else np.iinfo(dtype)
    value = rng.choice([info.min, info.max, dtype(rng.integers(-128, 128))])
    x = m.tensor(shape, dtype, x_scale, zero)
    y = m.tensor(shape + paddings.sum(axis=1), dtype, x_scale, zero)
    fill = m.tensor((1,) if rng.random() < 0.5 else (), dtype, x_scale, zero, data=value)
    m.op("PADV2", [x, m.const(paddings), fill], [y], "PadV2Options")
    return finish(m, [x], [y])


def mirror_pad(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """REFLECT or SYMMETRIC, up to the largest frame that can be mirrored."""
    shape = shape_of(rng, 1, 4)
    symmetric = bool(rng.random() < 0.5)
    limit = np.array(shape) - (0 if symmetric else 1)
    paddings = rng.integers(0, limit[:, None] + 1, (len(shape), 2))
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, shape + paddings.sum(axis=1))
    axis_type = rng.choice([np.int32, np.int64])
    m.op("MIRROR_PAD", [x, m.const(paddings, axis_type)], [y], "MirrorPadOptions", mode=int(symmetric))
    return finish(m, [x], [y])


def transpose(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """Any order of 1 to 5 dimensions."""
    shape = shape_of(rng, 1, 5)
    order = rng.permutation(len(shape))
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, [shape[axis] for axis in order])
    m.op("TRANSPOSE", [x, m.const(order)], [y], "TransposeOptions")
    return finish(m, [x], [y])


def concatenation(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """1 to 10 parts of different sizes; some of them constant, or one tensor twice."""
    shape = shape_of(rng, 1, 4)
    axis = int(rng.integers(len(shape)))
    sizes = [int(s) for s in rng.integers(1, 5, int(rng.integers(1, 10)))]
    m = ModelBuilder()
    *parts, y = moved(m, rng, dtype, *((*shape[:axis], s, *shape[axis + 1 :]) for s in [*sizes, sum(sizes)]))
    m.op("CONCATENATION", parts, [y], "ConcatenationOptions", axis=signed_axis(rng, axis, len(shape)))
    return finish(m, parts, [y])


def concatenation_of_constants(rng: np.random.Generator) -> bytes:
    """An input between two constants, and once more."""
    m = ModelBuilder()
    depth = int(rng.integers(1, 6))
    quant = (scale(rng), zero_point(rng))
    x, y = (m.tensor((2, 3, n), np.int8, *quant) for n in (depth, 2 * depth + 3))
    a, b = (m.tensor((2, 3, n), np.int8, *quant, data=rng.integers(-128, 128, (2, 3, n))) for n in (1, 2))
    m.op("CONCATENATION", [a, x, b, x], [y], "ConcatenationOptions", axis=2)
    return finish(m, [x], [y])


def pack(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """1 to 6 tensors along any new axis."""
    shape, count = shape_of(rng, 0, 4), int(rng.integers(1, 7))
    axis = int(rng.integers(len(shape) + 1))
    m = ModelBuilder()
    *parts, y = moved(m, rng, dtype, *([shape] * count), (*shape[:axis], count, *shape[axis:]))
    signed = signed_axis(rng, axis, len(shape) + 1)
    m.op("PACK", parts, [y], "PackOptions", axis=signed, valuesCount=count)
    return finish(m, parts, [y])


def unpack(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """Every slice along any axis."""
    shape = shape_of(rng, 1, 5)
    axis = int(rng.integers(len(shape)))
    m = ModelBuilder()
    x, *parts = moved(m, rng, dtype, shape, *([(*shape[:axis], *shape[axis + 1 :])] * shape[axis]))
    signed = signed_axis(rng, axis, len(shape))
    m.op("UNPACK", [x], parts, "UnpackOptions", axis=signed, num=shape[axis])
    return finish(m, [x], parts)


def split(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """1 to 5 equal parts."""
    shape, count = shape_of(rng, 1, 5), int(rng.integers(1, 6))
    axis = int(rng.integers(len(shape)))
    m = ModelBuilder()
    whole = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
    x, *parts = moved(m, rng, dtype, whole, *([shape] * count))
    at = m.const([signed_axis(rng, axis, len(shape))])
    m.op("SPLIT", [at, x], parts, "SplitOptions", numSplits=count)
    return finish(m, [x], parts)


def split_v(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """1 to 5 parts of different sizes; one may be given as -1."""
    shape = shape_of(rng, 1, 5)
    axis = int(rng.integers(len(shape)))
    sizes = [int(s) for s in rng.integers(1, 5, int(rng.integers(1, 6)))]
    m = ModelBuilder()
    x, *parts = moved(m, rng, dtype, *((*shape[:axis], s, *shape[axis + 1 :]) for s in [sum(sizes), *sizes]))
    if rng.random() < 0.4:
        sizes[int(rng.integers(len(sizes)))] = -1
    at = m.const([signed_axis(rng, axis, len(shape))])
    m.op("SPLIT_V", [x, m.const(sizes), at], parts, "SplitVOptions", numSplits=len(sizes))
    return finish(m, [x], parts)


def slice_(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """Any box; a size may be given as -1."""
    shape = shape_of(rng, 1, 5)
    begin = np.array([rng.integers(0, dim) for dim in shape])
    size = np.array([rng.integers(1, dim - first + 1) for dim, first in zip(shape, begin, strict=True)])
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, size)
    to_the_end = begin + size == shape
    asked = np.where(to_the_end & (rng.random(len(shape)) < 0.5), -1, size)
    index_type = rng.choice([np.int32, np.int64])
    m.op("SLICE", [x, m.const(begin, index_type), m.const(asked, index_type)], [y], "SliceOptions")
    return finish(m, [x], [y])


def slice_axis(rng: np.random.Generator, dim: int, negative: bool) -> tuple[int, int, int, bool, bool, bool, int]:
    """begin, end, stride, begin mask, end mask, shrink and the count of elements, at least one."""
    while True:
        stride = int(rng.choice([-3, -2, -1] if negative and rng.random() < 0.5 else [1, 1, 2, 3]))
        begin, end = (int(i) for i in rng.integers(-dim - 2, dim + 3, 2))
        from_edge, to_edge, shrink = (bool(b) for b in rng.random(3) < 0.25)
        if shrink:
            taken = range(dim)[begin : begin + 1 or None] if -dim <= begin < dim else range(0)
            if from_edge:
                taken = range(1)
            stride = 1
        else:
            taken = range(dim)[None if from_edge else begin : None if to_edge else end : stride]
        if len(taken):
            return begin, end, stride, from_edge, to_edge, shrink, len(taken)


def strided_slice(rng: np.random.Generator, dtype: Any = np.int8, negative: bool = False) -> bytes:
    """begin, end and shrink masks, indices out of range."""
    shape = shape_of(rng, 1, 4, 7)
    axes = [slice_axis(rng, dim, negative) for dim in shape]
    begin, end, strides, begin_bits, end_bits, shrink_bits, counts = zip(*axes, strict=True)
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, [n for n, shrink in zip(counts, shrink_bits, strict=True) if not shrink])
    begin_mask, end_mask, shrink_mask = (
        sum(bit << axis for axis, bit in enumerate(bits)) for bits in (begin_bits, end_bits, shrink_bits)
    )
    m.op(
        "STRIDED_SLICE", [x, m.const(begin), m.const(end), m.const(strides)], [y], "StridedSliceOptions",
        beginMask=begin_mask, endMask=end_mask, shrinkAxisMask=shrink_mask,
    )  # fmt: skip
    return finish(m, [x], [y])


def gather(rng: np.random.Generator, dtype: Any = np.int8, computed: bool = False) -> bytes:
    """Any axis and batch dimensions; indices of rank 0 and more, constant, or an input of a cube's dimensions."""
    shape = shape_of(rng, 1, 4)
    if computed:
        shape = shape[:1] * len(shape)
    axis = int(rng.integers(len(shape)))
    batch_dims = int(rng.integers(0, axis + 1)) if rng.random() < 0.5 else 0
    picked = (*shape[:batch_dims], *shape_of(rng, 0, 2))
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, shape, (*shape[:axis], *picked[batch_dims:], *shape[axis + 1 :]))
    indices = m.tensor(picked, np.int32) if computed else m.const(rng.integers(0, shape[axis], picked))
    from_end = batch_dims < len(picked) and rng.random() < 0.5
    m.op(
        "GATHER", [x, indices], [y], "GatherOptions",
        axis=signed_axis(rng, axis, len(shape)), batchDims=batch_dims - len(picked) if from_end else batch_dims,
    )  # fmt: skip
    return finish(m, [x, indices] if computed else [x], [y])


def gather_samples(rng: np.random.Generator, types: Sequence[TensorType]) -> list[list[np.ndarray]]:
    """Indices inside of the cube, as TFLite Micro stops at others."""
    x, indices = types
    return [
        [
            rng.integers(-128, 128, x.shape).astype(np.int8),
            rng.integers(0, x.shape[0], indices.shape).astype(np.int32),
        ]
        for _ in range(4)
    ]


def space_to_depth(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """Blocks of 1 to 4."""
    batch, height, width, depth = (int(d) for d in rng.integers(1, 5, 4))
    block = int(rng.integers(1, 5))
    m = ModelBuilder()
    x, y = moved(
        m, rng, dtype,
        (batch, height * block, width * block, depth), (batch, height, width, depth * block * block),
    )  # fmt: skip
    m.op("SPACE_TO_DEPTH", [x], [y], "SpaceToDepthOptions", blockSize=block)
    return finish(m, [x], [y])


def depth_to_space(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """Blocks of 1 to 4."""
    batch, height, width, depth = (int(d) for d in rng.integers(1, 5, 4))
    block = int(rng.integers(1, 5))
    m = ModelBuilder()
    x, y = moved(
        m, rng, dtype,
        (batch, height, width, depth * block * block), (batch, height * block, width * block, depth),
    )  # fmt: skip
    m.op("DEPTH_TO_SPACE", [x], [y], "DepthToSpaceOptions", blockSize=block)
    return finish(m, [x], [y])


def blocks(rng: np.random.Generator, limit: int = 3) -> tuple[list[int], np.ndarray, list[int], list[int]]:
    """Block, edges of up to `limit`, grid and space side of the batch operators, in one or two dimensions."""
    rank = int(rng.integers(1, 3))
    block = [int(b) for b in rng.integers(1, 4, rank)]
    edges = rng.integers(0, limit + 1, (rank, 2))
    grid = [int(rng.integers(ceil((e.sum() + 1) / b), 8)) for b, e in zip(block, edges, strict=True)]
    space = [g * b - int(e.sum()) for g, b, e in zip(grid, block, edges, strict=True)]
    return block, edges, grid, space


def space_to_batch_nd(rng: np.random.Generator, dtype: Any = np.int8, limit: int = 0) -> bytes:
    """One or two block dimensions, without padding: TFLite Micro fills that with whatever it finds in memory."""
    block, edges, grid, space = blocks(rng, limit)
    batch, depth = (int(d) for d in rng.integers(1, 4, 2))
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, (batch, *space, depth), (batch * prod(block), *grid, depth))
    m.op("SPACE_TO_BATCH_ND", [x, m.const(block), m.const(edges)], [y], "SpaceToBatchNDOptions")
    return finish(m, [x], [y])


def batch_to_space_nd(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """One or two block dimensions, with crops."""
    block, edges, grid, space = blocks(rng)
    batch, depth = (int(d) for d in rng.integers(1, 4, 2))
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, (batch * prod(block), *grid, depth), (batch, *space, depth))
    m.op("BATCH_TO_SPACE_ND", [x, m.const(block), m.const(edges)], [y], "BatchToSpaceNDOptions")
    return finish(m, [x], [y])


def handle(m: ModelBuilder, name: str) -> int:
    """A VAR_HANDLE operator for the variable `name`; the tensor with the handle."""
    tensor = m.tensor((), type_code=RESOURCE)
    m.op("VAR_HANDLE", [], [tensor], "VarHandleOptions", container="", sharedName=name)
    return tensor


def delay(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """A variable is read, then assigned: the output is the previous inference's input."""
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, *([shape_of(rng, 1, 4)] * 2))
    variable = handle(m, "state")
    m.op("READ_VARIABLE", [variable], [y], "ReadVariableOptions")
    m.op("ASSIGN_VARIABLE", [variable, x], [], "AssignVariableOptions")
    return finish(m, [x], [y])


def assign_twice(rng: np.random.Generator) -> bytes:
    """What was read before an assignment stays as it was; two handles of one name are one variable."""
    m = ModelBuilder()
    a, b, before, between, after = moved(m, rng, np.int8, *([shape_of(rng, 1, 4)] * 5))
    one, two = handle(m, "state"), handle(m, "state")
    for variable, read, written in ((one, before, a), (two, between, b), (one, after, None)):
        m.op("READ_VARIABLE", [variable], [read], "ReadVariableOptions")
        if written is not None:
            m.op("ASSIGN_VARIABLE", [variable, written], [], "AssignVariableOptions")
    return finish(m, [a, b], [before, between, after])


def call_once(rng: np.random.Generator) -> bytes:
    """A delay whose two variables start with constants."""
    shapes = [shape_of(rng, 1, 4) for _ in range(2)]
    m = ModelBuilder()
    m.op("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
    inputs, outputs, quants = [], [], []
    for name, shape in zip("ab", shapes, strict=True):
        quants.append((scale(rng), zero_point(rng)))
        x, y = (m.tensor(shape, np.int8, *quants[-1]) for _ in range(2))
        variable = handle(m, name)
        m.op("READ_VARIABLE", [variable], [y], "ReadVariableOptions")
        m.op("ASSIGN_VARIABLE", [variable, x], [], "AssignVariableOptions")
        inputs.append(x)
        outputs.append(y)
    m.interface(inputs, outputs)
    m.subgraph("initialize")
    for name, shape, quant in zip("ab", shapes, quants, strict=True):
        start = m.tensor(shape, np.int8, *quant, data=rng.integers(-128, 128, shape))
        m.op("ASSIGN_VARIABLE", [handle(m, name), start], [], "AssignVariableOptions")
    return finish(m, [], [])


def select(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """One of two tensors, either of which may be constant."""
    shape = shape_of(rng, 1, 4)
    m = ModelBuilder()
    condition = m.tensor([1] * int(rng.integers(1, 3)) if len(shape) > 1 else [1], np.bool_)
    x, y, z = moved(m, rng, dtype, shape, shape, shape)
    if rng.random() < 0.3:
        type_ = np.dtype(dtype)
        quant = (m.scale_of(x), m.zero_point_of(x)) if type_ in (np.int8, np.int16) else (None, 0)
        x = m.tensor(shape, dtype, *quant, data=rng.integers(0, 100, shape))
        m.op("SELECT_V2", [condition, y, x], [z], "SelectV2Options")
        return finish(m, [condition, y], [z])
    m.op("SELECT_V2", [condition, x, y], [z], "SelectV2Options")
    return finish(m, [condition, x, y], [z])


CASES = (
    OpCase("ASSIGN_VARIABLE", assign_twice),
    OpCase("BATCH_TO_SPACE_ND", batch_to_space_nd),
    OpCase("CALL_ONCE", call_once),
    OpCase("CONCATENATION", concatenation),
    OpCase("CONCATENATION", concatenation_of_constants, "constants"),
    OpCase("CONCATENATION", partial(concatenation, dtype=np.int16), "int16"),
    OpCase("CONCATENATION", partial(concatenation, dtype=np.int32), "int32"),
    OpCase("DEPTH_TO_SPACE", depth_to_space),
    OpCase("EXPAND_DIMS", expand_dims),
    OpCase("EXPAND_DIMS", partial(expand_dims, dtype=np.int16), "int16"),
    OpCase("GATHER", gather),
    OpCase("GATHER", partial(gather, computed=True), "computed", gather_samples),
    OpCase("GATHER", partial(gather, dtype=np.float32), "float32"),
    OpCase("MIRROR_PAD", mirror_pad),
    OpCase("MIRROR_PAD", partial(mirror_pad, dtype=np.float32), "float32"),
    OpCase("PACK", pack),
    OpCase("PACK", partial(pack, dtype=np.int64), "int64"),
    OpCase("PAD", pad),
    OpCase("PAD", partial(pad, dtype=np.int16), "int16"),
    OpCase("PAD", partial(pad, dtype=np.int32), "int32"),
    OpCase("PADV2", padv2),
    OpCase("PADV2", partial(padv2, dtype=np.int16), "int16"),
    OpCase("PADV2", partial(padv2, dtype=np.float32), "float32"),
    OpCase("READ_VARIABLE", delay),
    OpCase("READ_VARIABLE", partial(delay, dtype=np.int16), "int16"),
    OpCase("RESHAPE", reshape),
    OpCase("RESHAPE", partial(reshape, dtype=np.int16), "int16"),
    OpCase("RESHAPE", partial(reshape, dtype=np.int64), "int64"),
    OpCase("SELECT_V2", select),
    OpCase("SELECT_V2", partial(select, dtype=np.int16), "int16"),
    OpCase("SLICE", slice_),
    OpCase("SLICE", partial(slice_, dtype=np.int16), "int16"),
    OpCase("SPACE_TO_BATCH_ND", space_to_batch_nd),
    OpCase("SPACE_TO_DEPTH", space_to_depth),
    OpCase("SPACE_TO_DEPTH", partial(space_to_depth, dtype=np.float32), "float32"),
    OpCase("SPLIT", split),
    OpCase("SPLIT", partial(split, dtype=np.int16), "int16"),
    OpCase("SPLIT_V", split_v),
    OpCase("SPLIT_V", partial(split_v, dtype=np.int32), "int32"),
    OpCase("SQUEEZE", squeeze),
    OpCase("STRIDED_SLICE", strided_slice),
    OpCase("STRIDED_SLICE", partial(strided_slice, negative=True), "negative"),
    OpCase("STRIDED_SLICE", partial(strided_slice, dtype=np.int16, negative=True), "int16"),
    OpCase("STRIDED_SLICE", partial(strided_slice, dtype=np.bool_), "bool"),
    OpCase("TRANSPOSE", transpose),
    OpCase("TRANSPOSE", partial(transpose, dtype=np.int16), "int16"),
    OpCase("UNPACK", unpack),
    OpCase("UNPACK", partial(unpack, dtype=np.int16), "int16"),
)
