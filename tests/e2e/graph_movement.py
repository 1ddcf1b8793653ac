"""Steps of a random graph that move elements without computing on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.e2e.graph_draw import Drawn, GraphDraw, NotPossible

MOVABLE: tuple[Any, ...] = (np.int8, np.int16, np.float32)
PADDABLE: tuple[Any, ...] = (np.int8, np.int16)


def _axis(g: GraphDraw, x: Drawn) -> tuple[int, int]:
    """An axis of `x` counted from 0, and as the file gives it: often from the end."""
    axis = g.c.integer(0, x.rank - 1)
    return axis, axis - x.rank if g.c.flag() else axis


def _replaced(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


def reshape(g: GraphDraw) -> None:
    """RESHAPE: two neighbours joined, flattened, or one dimension cut in two."""
    x = g.take(dtypes=MOVABLE)
    shape = g.c.pick(
        [
            (1, x.elements),
            (x.elements,),
            (1, 1, 1, x.elements),
            (*x.shape[:-2], x.shape[-1] * (x.shape[-2] if x.rank > 1 else 1)),
            (1, *x.shape)[-5:] if x.rank < 5 else x.shape,
            (*x.shape[:-1], x.shape[-1] // 2, 2)[-5:] if x.shape[-1] % 2 == 0 and x.rank < 4 else (1, x.elements),
        ]
    )
    y = g.like(x, shape)
    g.op("RESHAPE", [x, g.m.const(shape)], [y], "ReshapeOptions", newShape=list(shape))


def squeeze(g: GraphDraw) -> None:
    """SQUEEZE all dimensions of 1, of which one is added first where there is none."""
    x = g.take(ranks=(1, 2, 3, 4), dtypes=MOVABLE)
    if 1 not in x.shape:
        y = g.like(x, (1, *x.shape))
        g.op("EXPAND_DIMS", [x, g.m.const([0])], [y], "ExpandDimsOptions")
    else:
        y = g.like(x, [d for d in x.shape if d != 1])
        g.op("SQUEEZE", [x], [y], "SqueezeOptions", squeezeDims=[])


def transpose(g: GraphDraw) -> None:
    """TRANSPOSE in any order."""
    x = g.take(ranks=(2, 3, 4, 5), dtypes=PADDABLE)
    order, left = [], list(range(x.rank))
    while left:
        order.append(left.pop(g.c.integer(0, len(left) - 1)))
    y = g.like(x, [x.shape[axis] for axis in order])
    g.op("TRANSPOSE", [x, g.m.const(order)], [y], "TransposeOptions")


def pad(g: GraphDraw) -> None:
    """PAD, PADV2 with any value, or MIRROR_PAD."""
    c = g.c
    code = c.pick(["PAD", "PADV2", "MIRROR_PAD"])
    x = g.take(ranks=(1, 2, 3, 4), dtypes=PADDABLE if code == "PAD" else (np.int8,))
    limit = [min(d - 1, 2) if code == "MIRROR_PAD" else 2 for d in x.shape]
    paddings = np.array([[c.integer(0, most) if c.flag() else 0 for _ in range(2)] for most in limit])
    y = g.like(x, np.array(x.shape) + paddings.sum(axis=1))
    inputs: list[Drawn | int] = [x, g.m.const(paddings)]
    if code == "PADV2":
        assert x.quant is not None
        inputs.append(g.m.tensor((1,), np.int8, *x.quant, data=c.integer(-128, 127)))
    options = {"PAD": "PadOptions", "PADV2": "PadV2Options", "MIRROR_PAD": "MirrorPadOptions"}[code]
    g.op(code, inputs, [y], options, **({"mode": c.integer(0, 1)} if code == "MIRROR_PAD" else {}))


def concatenation(g: GraphDraw) -> None:
    """CONCATENATION of a value with others that fit, itself among them; parts are requantized to one scale first."""
    c = g.c
    x = g.take(ranks=(1, 2, 3, 4))
    axis, signed = _axis(g, x)
    parts = [x]
    for _ in range(c.integer(1, 3)):
        other = g.take(ranks=(x.rank,), where=lambda v: _replaced(v.shape, axis, 0) == _replaced(x.shape, axis, 0))
        if other.quant != x.quant:
            fitted = g.like(x, other.shape)
            g.op("QUANTIZE", [other], [fitted])
            other = fitted
        parts.append(other)
    y = g.like(x, _replaced(x.shape, axis, sum(p.shape[axis] for p in parts)))
    g.op("CONCATENATION", parts, [y], "ConcatenationOptions", axis=signed)


def split(g: GraphDraw) -> None:
    """SPLIT into two or three equal parts, SPLIT_V into two of any size, or UNPACK."""
    c = g.c
    x = g.take(ranks=(1, 2, 3, 4), where=lambda v: max(v.shape) > 1)
    axis = c.pick([a for a, d in enumerate(x.shape) if d > 1])
    signed = axis - x.rank if c.flag() else axis
    size = x.shape[axis]
    counts = [n for n in (2, 3) if size % n == 0]
    if counts and c.flag():
        count = c.pick(counts)
        parts = [g.like(x, _replaced(x.shape, axis, size // count)) for _ in range(count)]
        g.op("SPLIT", [g.m.const([signed]), x], parts, "SplitOptions", numSplits=count)
    elif size <= 4 and x.rank > 1 and c.flag():
        parts = [g.like(x, (*x.shape[:axis], *x.shape[axis + 1 :])) for _ in range(size)]
        g.op("UNPACK", [x], parts, "UnpackOptions", axis=signed, num=size)
    else:
        first = c.integer(1, size - 1)
        parts = [g.like(x, _replaced(x.shape, axis, s)) for s in (first, size - first)]
        g.op("SPLIT_V", [x, g.m.const([first, -1]), g.m.const([signed])], parts, "SplitVOptions", numSplits=2)


def pack(g: GraphDraw) -> None:
    """PACK of a value with itself and others of its shape and quantization."""
    x = g.take(ranks=(1, 2, 3))
    parts = [x, *(g.take(where=lambda v: v.shape == x.shape and v.quant == x.quant) for _ in range(g.c.integer(1, 2)))]
    axis = g.c.integer(0, x.rank)
    y = g.like(x, (*x.shape[:axis], len(parts), *x.shape[axis:]))
    g.op("PACK", parts, [y], "PackOptions", axis=axis, valuesCount=len(parts))


def strided_slice(g: GraphDraw) -> None:
    """STRIDED_SLICE of any box, forwards and backwards."""
    c = g.c
    x = g.take(ranks=(1, 2, 3, 4), dtypes=PADDABLE)
    begin, end, strides, sizes = [], [], [], []
    for dim in x.shape:
        stride = c.pick([1, 1, 2, -1])
        first, last = c.integer(0, dim - 1), c.integer(0, dim - 1)
        first, last = (min(first, last), max(first, last)) if stride > 0 else (max(first, last), min(first, last))
        begin.append(first)
        # One behind the last element; in front of element 0 only an index below -dim says so.
        end.append(last + 1 if stride > 0 else last - 1 if last else -dim - 1)
        strides.append(stride)
        sizes.append(abs(last - first) // abs(stride) + 1)
    y = g.like(x, sizes)
    g.op(
        "STRIDED_SLICE", [x, g.m.const(begin), g.m.const(end), g.m.const(strides)], [y], "StridedSliceOptions"
    )  # fmt: skip


def slice_(g: GraphDraw) -> None:
    """SLICE of any box."""
    c = g.c
    x = g.take(ranks=(1, 2, 3, 4), dtypes=PADDABLE)
    begin = [c.integer(0, d - 1) for d in x.shape]
    size = [c.integer(1, d - b) for d, b in zip(x.shape, begin, strict=True)]
    y = g.like(x, size)
    g.op("SLICE", [x, g.m.const(begin), g.m.const(size)], [y], "SliceOptions")


def gather(g: GraphDraw) -> None:
    """GATHER of constant indices along any axis."""
    x = g.take(ranks=(1, 2, 3, 4))
    axis, signed = _axis(g, x)
    indices = [g.c.integer(0, x.shape[axis] - 1) for _ in range(g.c.integer(1, 4))]
    y = g.like(x, _replaced(x.shape, axis, len(indices)))
    g.op("GATHER", [x, g.m.const(indices)], [y], "GatherOptions", axis=signed)


def space_depth(g: GraphDraw) -> None:
    """SPACE_TO_DEPTH or DEPTH_TO_SPACE with blocks of 2."""
    x = g.take(ranks=(4,))
    batch, height, width, depth = x.shape
    if height % 2 == 0 and width % 2 == 0:
        y = g.like(x, (batch, height // 2, width // 2, depth * 4))
        g.op("SPACE_TO_DEPTH", [x], [y], "SpaceToDepthOptions", blockSize=2)
    elif depth % 4 == 0:
        y = g.like(x, (batch, height * 2, width * 2, depth // 4))
        g.op("DEPTH_TO_SPACE", [x], [y], "DepthToSpaceOptions", blockSize=2)
    else:
        raise NotPossible


def batch_space(g: GraphDraw) -> None:
    """SPACE_TO_BATCH_ND without padding, or BATCH_TO_SPACE_ND with a crop."""
    x = g.take(ranks=(4,))
    batch, height, width, depth = x.shape
    block = [g.c.integer(1, 2), g.c.integer(1, 2)]
    count = block[0] * block[1]
    if height % block[0] == 0 and width % block[1] == 0:
        y = g.like(x, (batch * count, height // block[0], width // block[1], depth))
        g.op("SPACE_TO_BATCH_ND", [x, g.m.const(block), g.m.const([[0, 0], [0, 0]])], [y], "SpaceToBatchNDOptions")
    elif batch % count == 0:
        crop = 1 if height * block[0] > 1 and g.c.flag() else 0
        y = g.like(x, (batch // count, height * block[0] - crop, width * block[1], depth))
        crops = g.m.const([[crop, 0], [0, 0]])
        g.op("BATCH_TO_SPACE_ND", [x, g.m.const(block), crops], [y], "BatchToSpaceNDOptions")
    else:
        raise NotPossible


MOVEMENT: tuple[Callable[[GraphDraw], None], ...] = (
    reshape,
    squeeze,
    concatenation,
    split,
    transpose,
    pad,
    pack,
    strided_slice,
    slice_,
    gather,
    space_depth,
    batch_space,
)
