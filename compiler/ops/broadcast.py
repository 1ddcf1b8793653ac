"""Broadcasting of two operands: the output shape, and the strides that the C iterator walks.

Sizes of 1 stretch to the other operand's size, missing leading dimensions count as 1. Source: TFLite
kernels/internal/common.h, NdArrayDescsForElementwiseBroadcast.
"""

from __future__ import annotations

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import ParamValue, Shape
from thimble.compiler.ir.types import MAX_RANK


def broadcast_shape(site: Site) -> Shape:
    """The shape of inputs 0 and 1 stretched to each other; MalformedModel if they do not match."""
    a, b = site.input(0).type.shape, site.input(1).type.shape
    rank = max(len(a), len(b))
    pairs = list(zip(_extend(a, rank), _extend(b, rank), strict=True))
    if any(x != y and 1 not in (x, y) for x, y in pairs):
        raise MalformedModel(f"{site.source} has inputs of shapes {a} and {b}, which do not broadcast.")
    return tuple(y if x == 1 else x for x, y in pairs)


def broadcast_params(site: Site) -> tuple[tuple[str, ParamValue], ...]:
    """The fields `dims`, `strides1` and `strides2` of a kernel that walks with thimble_broadcast.h.

    Neighbouring dimensions along which both inputs advance alike are merged, so that operands of one shape
    become a single row; unused leading dimensions have size 1. A tensor without elements is one empty row.
    """
    shape = broadcast_shape(site)
    axes = zip(shape, _strides(site, 0, shape), _strides(site, 1, shape), strict=True)
    merged: list[tuple[int, int, int]] = []
    for size, step1, step2 in axes:
        if size == 1:
            continue
        if merged and merged[-1][1:] == (step1 * size, step2 * size):
            merged[-1] = (merged[-1][0] * size, step1, step2)
        else:
            merged.append((size, step1, step2))
    if 0 in shape:
        merged = [(0, 0, 0)]
    padded = [(1, 0, 0)] * (MAX_RANK - len(merged)) + merged
    dims, strides1, strides2 = zip(*padded, strict=True)
    return (("dims", dims), ("strides1", strides1), ("strides2", strides2))


def _extend(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def _strides(site: Site, index: int, output: Shape) -> list[int]:
    """Elements that input `index` advances along each output dimension; 0 where it is stretched."""
    strides, step = [], 1
    for size in reversed(_extend(site.input(index).type.shape, len(output))):
        strides.append(0 if size == 1 else step)
        step *= size
    return strides[::-1]
