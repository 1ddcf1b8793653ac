"""Random layers of the operators that have specialised kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tests.kernels.convolution_draws import (
    Rng,
    any_pointwise,
    conv_2d,
    conv_2d_3x3,
    conv_2d_add,
    conv_2d_depthwise,
    depthwise_3x3,
    depthwise_conv_2d,
    depthwise_steps,
    first_conv_2d,
    last_pointwise,
    pointwise,
    scaled_output,
    spread_depthwise,
)
from tests.kernels.narrow_draws import one_of, packed, with_narrow_weights
from tests.ops.draws import SAME, activation_code, bias_for, same_or_valid, scale, weights, zero_point
from tests.tflite_builder import ModelBuilder


def fully_connected(rng: Rng) -> bytes:
    """Matrix product of a few rows, with weights of one scale or one for each output."""
    depth = int(rng.choice([int(rng.integers(1, 40)), 4 * int(rng.integers(1, 60))]))
    channels, rows = int(rng.choice([8, 16, int(rng.integers(1, 70))])), int(rng.choice([1, 1, 3]))
    m = ModelBuilder()
    x = m.tensor((rows, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, depth), axis=0, per_axis=bool(rng.random() < 0.3))
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y = m.tensor((rows, channels), np.int8, scaled_output(rng, m.scale_of(x), w_scales, depth), zero_point(rng))
    m.op("FULLY_CONNECTED", [x, w, b], [y], "FullyConnectedOptions", fusedActivationFunction=activation_code(rng))
    m.interface([x], [y])
    return m.build()


def add(rng: Rng) -> bytes:
    """ADD or SUB of two tensors of one shape, of any scales."""
    shape = tuple(int(n) for n in rng.integers(1, 8, int(rng.integers(1, 5))))
    m = ModelBuilder()
    x_scale = scale(rng)
    y_scale = x_scale * float(np.float32(10 ** rng.uniform(-1, 1)))
    z_scale = max(x_scale, y_scale) * float(np.float32(10 ** rng.uniform(-0.3, 0.7)))
    x = m.tensor(shape, np.int8, x_scale, zero_point(rng))
    y = m.tensor(shape, np.int8, y_scale, zero_point(rng))
    z = m.tensor(shape, np.int8, z_scale, zero_point(rng))
    operator = str(rng.choice(["ADD", "ADD", "SUB"]))
    options = {"ADD": "AddOptions", "SUB": "SubOptions"}[operator]
    m.op(operator, [x, y], [z], options, fusedActivationFunction=activation_code(rng))
    m.interface([x, y], [z])
    return m.build()


def pool_2d(operator: str, rng: Rng) -> bytes:
    """Pools of any window and stride; one in three over all of an image, whose row form adds up rows."""
    padding, out_size = edges = same_or_valid(rng)
    height, width = (int(n) for n in rng.integers(1, 12, 2))
    beyond = 2 if edges is SAME else 0
    kernel = tuple(int(n) for n in rng.integers(1, (height + beyond + 1, width + beyond + 1)))
    kernel = (height, width) if rng.random() < 0.3 else kernel
    strides = tuple(int(n) for n in rng.integers(1, 4, 2))
    batch = 1 if kernel == (height, width) else int(rng.choice([1, 1, 2]))
    channels = int(rng.choice([4, 8, int(rng.integers(1, 30))]))
    m, zero = ModelBuilder(), zero_point(rng)
    x = m.tensor((batch, height, width, channels), np.int8, scale(rng), zero)
    out = (out_size(size, k, s, 1) for size, k, s in zip((height, width), kernel, strides, strict=True))
    y = m.tensor((batch, *out, channels), np.int8, m.scale_of(x), zero)
    m.op(
        operator, [x], [y], "Pool2DOptions", filterHeight=kernel[0], filterWidth=kernel[1],
        strideH=strides[0], strideW=strides[1], padding=padding, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def mean(rng: Rng) -> bytes:
    """The mean over all of an image; its row form adds up rows."""
    height, width, channels = int(rng.integers(2, 12)), int(rng.integers(1, 30)), int(rng.integers(1, 40))
    m = ModelBuilder()
    x = m.tensor((1, height, width, channels), np.int8, scale(rng), zero_point(rng))
    y = m.tensor((1, channels), np.int8, m.scale_of(x) * 10 ** rng.uniform(-1, 1), zero_point(rng))
    m.op("MEAN", [x, m.const([1, 2])], [y], "ReducerOptions", keepDims=False)
    m.interface([x], [y])
    return m.build()


def batch_matmul(rng: Rng) -> bytes:
    """Products of a few matrices, either of them stored the other way round, broadcast or constant."""
    rows, columns = (int(n) for n in rng.integers(1, 24, 2))
    depth = int(rng.choice([int(rng.integers(1, 20)), 4 * int(rng.integers(1, 30))]))
    batches = tuple(int(n) for n in rng.integers(1, 3, int(rng.integers(0, 4))))
    adjoint_x, adjoint_y = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    m = ModelBuilder()

    held = bool(rng.random() < 0.2)

    def operand(own: tuple[int, ...], shape: tuple[int, int], adjoint: bool, held: bool) -> int:
        stored = (*own, *(shape[::-1] if adjoint else shape))
        data = rng.integers(-128, 128, stored) if held else None
        return m.tensor(stored, np.int8, scale(rng), zero_point(rng), data=data)

    own_x, own_y = (tuple(1 if rng.random() < 0.2 else n for n in batches) for _ in range(2))
    x = operand(own_x, (rows, depth), adjoint_x, held=False)
    y = operand(own_y, (depth, columns), adjoint_y, held)
    shape = (*np.broadcast_shapes(own_x, own_y), rows, columns)
    z_scale = scaled_output(rng, m.scale_of(x), np.array([m.scale_of(y)]), depth)
    z = m.tensor(shape, np.int8, z_scale, zero_point(rng))
    m.op("BATCH_MATMUL", [x, y], [z], "BatchMatMulOptions", adjX=adjoint_x, adjY=adjoint_y)
    m.interface([x] if held else [x, y], [z])
    return m.build()


def quantize(rng: Rng) -> bytes:
    """Floats to int8, of any scale."""
    shape = tuple(int(n) for n in rng.integers(1, 8, int(rng.integers(1, 5))))
    m = ModelBuilder()
    x = m.tensor(shape, np.float32)
    y = m.tensor(shape, np.int8, float(np.float32(10 ** rng.uniform(-6, 4))), zero_point(rng))
    m.op("QUANTIZE", [x], [y], "QuantizeOptions")
    m.interface([x], [y])
    return m.build()


DRAWS: dict[str, Callable[[Rng], bytes]] = {
    "add": add,
    "average_pool_2d": partial(pool_2d, "AVERAGE_POOL_2D"),
    "batch_matmul": batch_matmul,
    "conv_2d": conv_2d,
    "conv_2d_add": conv_2d_add,
    "conv_2d_depthwise": conv_2d_depthwise,
    "first_conv_2d": first_conv_2d,
    "conv_2d_3x3": conv_2d_3x3,
    "depthwise_3x3": depthwise_3x3,
    "depthwise_conv_2d": depthwise_conv_2d,
    "depthwise_steps": depthwise_steps,
    "fully_connected": fully_connected,
    "max_pool_2d": partial(pool_2d, "MAX_POOL_2D"),
    "mean": mean,
    "quantize": quantize,
    "last_pointwise": last_pointwise,
    "pointwise": any_pointwise,
    "spread_depthwise": spread_depthwise,
    "narrow_conv_2d": with_narrow_weights(one_of((0.4, conv_2d), (0.3, conv_2d_3x3), (0.3, any_pointwise))),
    "narrow_fully_connected": with_narrow_weights(fully_connected),
    "narrow_depthwise_conv_2d": with_narrow_weights(one_of((0.8, depthwise_conv_2d), (0.2, depthwise_steps))),
    "packed_add": packed(add),
    "packed_average_pool_2d": packed(partial(pool_2d, "AVERAGE_POOL_2D"), alike=True),
    "packed_max_pool_2d": packed(partial(pool_2d, "MAX_POOL_2D"), alike=True),
    "packed_mean": packed(mean),
    "packed_fully_connected": packed(fully_connected, narrow_weights_too=True),
    "packed_pointwise": packed(pointwise, narrow_weights_too=True),
    "packed_conv_2d": packed(one_of((0.6, conv_2d), (0.4, conv_2d_3x3)), narrow_weights_too=True),
    "packed_depthwise_conv_2d": packed(
        one_of((0.6, depthwise_conv_2d), (0.3, depthwise_3x3), (0.1, depthwise_steps)), narrow_weights_too=True
    ),
}
"""By the operator whose kernels are specialised."""
