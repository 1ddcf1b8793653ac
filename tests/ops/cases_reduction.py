"""Rows for pools, for reductions along axes and for resizes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tests.ops.case import OpCase
from tests.ops.draws import activation_code, same_or_valid, scale, zero_point
from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite.file import read_model


def zero_point_of(rng: np.random.Generator, dtype: Any) -> int:
    """A zero point of an int8 or int16 activation."""
    return zero_point(rng) if np.dtype(dtype) == np.int8 else int(rng.choice([0, 0, rng.integers(-32768, 32768)]))


def pool(rng: np.random.Generator, code: str, dtype: Any = np.int8) -> bytes:
    """A window larger than, as large as or smaller than the input, strides beyond the window, both paddings."""
    padding, out_size = same_or_valid(rng)
    height, width = (int(s) for s in rng.integers(1, 12, 2))
    reach = 14 if padding == 0 else 1
    kernel_h, kernel_w = (int(rng.integers(1, max(size, reach) + 1)) for size in (height, width))
    if rng.random() < 0.2:
        kernel_h, kernel_w = height, width
    stride_h, stride_w = (int(s) for s in rng.integers(1, 6, 2))
    batch, channels = int(rng.integers(1, 3)), int(rng.integers(1, 7))
    x_scale, zero = scale(rng), zero_point_of(rng, dtype)
    m = ModelBuilder()
    x = m.tensor((batch, height, width, channels), dtype, x_scale, zero)
    shape = (batch, out_size(height, kernel_h, stride_h, 1), out_size(width, kernel_w, stride_w, 1), channels)
    y = m.tensor(shape, dtype, x_scale + float(rng.choice([0, 0, 0, 9e-7])), zero)
    m.op(
        code, [x], [y], "Pool2DOptions",
        filterHeight=kernel_h, filterWidth=kernel_w, strideH=stride_h, strideW=stride_w,
        padding=padding, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def axes_of(rng: np.random.Generator, rank: int) -> list[int]:
    """Some of the axes in any order, from the front or from the end; at times one twice."""
    axes = [int(a) for a in rng.permutation(rank)[: int(rng.integers(1, rank + 1))]]
    if rng.random() < 0.1:
        axes.append(axes[0])
    return [axis - rank if rng.random() < 0.3 else axis for axis in axes]


def reduction(rng: np.random.Generator, code: str, dtype: Any = np.int8, keep_quantization: bool = False) -> bytes:
    """Any axes of up to six dimensions, with or without keeping them; the spatial axes of an image in one of four."""
    rank = int(rng.integers(1, 7))
    shape = tuple(int(d) for d in rng.integers(1, 5, rank))
    axes = axes_of(rng, rank)
    if rng.random() < 0.25:
        shape, axes = tuple(int(d) for d in rng.integers(1, 12, 4)), [[1, 2], [2, 1]][int(rng.integers(2))]
    keep = bool(rng.random() < 0.5)
    gone = {axis % len(shape) for axis in axes}
    left = tuple(1 if i in gone else d for i, d in enumerate(shape) if keep or i not in gone)
    m = ModelBuilder()
    x_scale, zero = scale(rng), zero_point_of(rng, dtype)
    x = m.tensor(shape, dtype, x_scale, zero)
    if not keep_quantization and rng.random() < 0.8:
        growth = (prod(shape) / prod(left)) ** 0.5 if code == "SUM" else 1.0
        x_scale, zero = x_scale * growth * 10 ** rng.uniform(-1, 1), zero_point_of(rng, dtype)
    y = m.tensor(left, dtype, x_scale, zero)
    m.op(code, [x, m.const(axes)], [y], "ReducerOptions", keepDims=keep)
    m.interface([x], [y])
    return m.build()


def arg_extreme(rng: np.random.Generator, code: str) -> bytes:
    """The index along any axis, given from the front or from the end."""
    rank = int(rng.integers(1, 6))
    shape = tuple(int(d) for d in rng.integers(1, 7, rank))
    axis = int(rng.integers(-rank, rank))
    m = ModelBuilder()
    x = m.tensor(shape, np.int8, scale(rng), zero_point(rng))
    y = m.tensor([d for i, d in enumerate(shape) if i != axis % rank], np.int32)
    m.op(
        code, [x, m.const(axis if rng.random() < 0.5 else [axis])], [y],
        "ArgMaxOptions" if code == "ARG_MAX" else "ArgMinOptions", outputType=2,
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def resize(rng: np.random.Generator, code: str, dtype: Any = np.int8) -> bytes:
    """Growing, shrinking or keeping, each axis on its own, with or without aligned corners or half-pixel centers."""
    height, width, new_height, new_width = (int(s) for s in rng.integers(1, 14, 4))
    if rng.random() < 0.3:
        new_height, new_width = 2 * height, 2 * width
    align, half = bool(rng.random() < 0.4), bool(rng.random() < 0.4)
    if code == "RESIZE_BILINEAR":
        half = half and not align
    batch, channels = int(rng.integers(1, 3)), int(rng.integers(1, 7))
    quant = (None, 0) if np.dtype(dtype) == np.float32 else (scale(rng), zero_point_of(rng, dtype))
    m = ModelBuilder()
    x = m.tensor((batch, height, width, channels), dtype, *quant)
    y = m.tensor((batch, new_height, new_width, channels), dtype, *quant)
    options = "ResizeBilinearOptions" if code == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    m.op(code, [x, m.const([new_height, new_width])], [y], options, alignCorners=align, halfPixelCenters=half)
    m.interface([x], [y])
    return m.build()


def has_outliers(rng: np.random.Generator) -> bytes:
    """A range about which single elements decide, or which nothing or everything lies outside of."""
    shape = (1, *(int(d) for d in rng.integers(1, 7, int(rng.integers(0, 4)))))
    m = ModelBuilder()
    x, y = m.tensor(shape, np.int8, scale(rng), zero_point(rng)), m.tensor([1] * len(shape), np.bool_)
    spread = int(rng.integers(0, 2 + 127 // prod(shape)))
    low, high = -128 + int(rng.integers(0, spread + 1)), 127 - int(rng.integers(0, spread + 1))
    if rng.random() < 0.2:
        low, high = high, low
    m.op("CUSTOM", [x, m.const([low, high])], [y], custom="thimble.has_outliers")
    m.interface([x], [y])
    return m.build()


def outside(model: bytes, samples: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """What HAS_OUTLIERS is defined to say, from the range that stands in the file."""
    constant = next(t for t in read_model(model).subgraphs[0].tensors if t.data is not None)
    assert constant.data is not None
    low, high = (int(x) for x in constant.data)
    return [[np.any(~np.isin(x, np.arange(low, high + 1))).reshape([1] * x.ndim)] for (x,) in samples]


CASES = (
    OpCase("ARG_MAX", lambda rng: arg_extreme(rng, "ARG_MAX")),
    OpCase("ARG_MIN", lambda rng: arg_extreme(rng, "ARG_MIN")),
    OpCase("AVERAGE_POOL_2D", lambda rng: pool(rng, "AVERAGE_POOL_2D")),
    OpCase("AVERAGE_POOL_2D", lambda rng: pool(rng, "AVERAGE_POOL_2D", np.int16), "int16"),
    OpCase("HAS_OUTLIERS", has_outliers, oracle=outside),
    OpCase("MAX_POOL_2D", lambda rng: pool(rng, "MAX_POOL_2D")),
    OpCase("MAX_POOL_2D", lambda rng: pool(rng, "MAX_POOL_2D", np.int16), "int16"),
    OpCase("MEAN", lambda rng: reduction(rng, "MEAN")),
    OpCase("MEAN", lambda rng: reduction(rng, "MEAN", keep_quantization=True), "same-quantization"),
    OpCase("MEAN", lambda rng: reduction(rng, "MEAN", np.int16), "int16"),
    OpCase("REDUCE_MAX", lambda rng: reduction(rng, "REDUCE_MAX", keep_quantization=True)),
    OpCase("RESIZE_BILINEAR", lambda rng: resize(rng, "RESIZE_BILINEAR")),
    OpCase("RESIZE_NEAREST_NEIGHBOR", lambda rng: resize(rng, "RESIZE_NEAREST_NEIGHBOR")),
    OpCase("RESIZE_NEAREST_NEIGHBOR", lambda rng: resize(rng, "RESIZE_NEAREST_NEIGHBOR", np.int16), "int16"),
    OpCase("RESIZE_NEAREST_NEIGHBOR", lambda rng: resize(rng, "RESIZE_NEAREST_NEIGHBOR", np.float32), "float32"),
    OpCase("SUM", lambda rng: reduction(rng, "SUM")),
    OpCase("SUM", lambda rng: reduction(rng, "SUM", np.int16), "int16"),
)
