"""Padding of tensors in any order of dimensions, in all modes of ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.layout import pick
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.operator import Operator
from thimble.compiler.ir.types import MAX_TENSOR_BYTES
from thimble.compiler.ops.mirror_pad import MirrorPad
from thimble.compiler.ops.pad import Pad, Paddings, PadV2

_NUMPY_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def pairs_of(pads: Sequence[int]) -> Paddings:
    """ONNX pads, all beginnings and then all ends, as (before, after) pairs."""
    half = len(pads) // 2
    return tuple(zip(pads[:half], pads[half:], strict=True))


def pad_tensor(
    builder: Builder, x: Tensor, paddings: Sequence[tuple[int, int]], mode: str, value: int | float = 0
) -> Tensor:
    """`x` with elements added (or, where negative, cut off) along each dimension of its ONNX shape.

    `mode` is "constant", "reflect", "edge" or "wrap".
    """
    shape = builder.shape(x)
    for axis, (before, after) in enumerate(paddings):
        if shape[axis] + before + after < 0 or max(before, after) > MAX_TENSOR_BYTES:
            raise MalformedModel(f"{builder.source} pads a dimension of {shape[axis]} by ({before}, {after}).")
        if before < 0 or after < 0:
            x = pick(builder, x, axis, np.arange(max(-before, 0), shape[axis] - max(-after, 0)))
    added = [(max(before, 0), max(after, 0)) for before, after in paddings]
    if not any(map(any, added)):
        return x
    stored = tuple(added[axis] for axis in x.order)
    sizes = builder.value(x).type.shape
    if mode == "constant":
        op: Operator = Pad(stored) if value == 0 else PadV2(stored, value)
    elif mode == "reflect" and all(max(pair) < dim for pair, dim in zip(stored, sizes, strict=True)):
        op = MirrorPad(stored, symmetric=False)
    else:
        return _picked(builder, x, added, mode)
    (result,) = builder.emit(op, [x.index])
    return builder.tensor(result, x.order)


def _picked(builder: Builder, x: Tensor, paddings: Sequence[tuple[int, int]], mode: str) -> Tensor:
    """Frames whose every element is one of the input: the positions are numpy's for a row of numbers."""
    for axis, pair in enumerate(paddings):
        size = builder.shape(x)[axis]
        if not size or sum(pair) + size > MAX_TENSOR_BYTES // 8:
            raise MalformedModel(f"{builder.source} pads a dimension of {size} by {pair}.")
        places = np.pad(np.arange(size), pair, mode=_NUMPY_MODES[mode])  # type: ignore[call-overload]
        x = pick(builder, x, axis, places)
    return x
