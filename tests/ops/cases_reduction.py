"""Rows for pools and for reductions along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import OpCase
from tests.ops.draws import activation_code, same_or_valid, scale, zero_point
from tests.tflite_builder import ModelBuilder


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


CASES = (
    OpCase("AVERAGE_POOL_2D", lambda rng: pool(rng, "AVERAGE_POOL_2D")),
    OpCase("AVERAGE_POOL_2D", lambda rng: pool(rng, "AVERAGE_POOL_2D", np.int16), "int16"),
    OpCase("MAX_POOL_2D", lambda rng: pool(rng, "MAX_POOL_2D")),
    OpCase("MAX_POOL_2D", lambda rng: pool(rng, "MAX_POOL_2D", np.int16), "int16"),
)
