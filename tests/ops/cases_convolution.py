"""Rows for convolutions and matrix products."""

from __future__ import annotations

import numpy as np

from tests.ops.case import OpCase
from tests.ops.draws import activation_code, bias_for, output_scale, same_or_valid, scale, weights, zero_point
from tests.tflite_builder import ModelBuilder


def conv_2d(rng: np.random.Generator) -> bytes:
    """Dense or grouped convolution with any stride, dilation and padding."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    depth, channels = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 6))
    kernel_h, kernel_w = (int(k) for k in rng.integers(1, 5, 2))
    dilation_h, dilation_w = (int(d) for d in rng.integers(1, 3, 2))
    height = int(rng.integers((kernel_h - 1) * dilation_h + 1, 13))
    width = int(rng.integers((kernel_w - 1) * dilation_w + 1, 13))
    stride_h, stride_w = (int(s) for s in rng.integers(1, 4, 2))
    padding, out_size = same_or_valid(rng)
    m = ModelBuilder()
    x = m.tensor((1, height, width, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, kernel_h, kernel_w, depth // groups), axis=0)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    taps = kernel_h * kernel_w * depth // groups
    shape = (
        1,
        out_size(height, kernel_h, stride_h, dilation_h),
        out_size(width, kernel_w, stride_w, dilation_w),
        channels,
    )
    y = m.tensor(shape, np.int8, output_scale(rng, m.scale_of(x), w_scales, taps), zero_point(rng))
    m.op(
        "CONV_2D", [x, w, b] if rng.random() < 0.9 else [x, w], [y], "Conv2DOptions",
        strideH=stride_h, strideW=stride_w, dilationHFactor=dilation_h, dilationWFactor=dilation_w,
        padding=padding, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def depthwise_conv_2d(rng: np.random.Generator) -> bytes:
    """Depthwise convolution with one or more outputs for each input channel."""
    depth, multiplier = int(rng.integers(1, 7)), int(rng.choice([1, 1, 2, 3, 4]))
    channels = depth * multiplier
    kernel_h, kernel_w = (int(k) for k in rng.integers(1, 5, 2))
    dilation_h, dilation_w = (int(d) for d in rng.integers(1, 3, 2))
    height = int(rng.integers((kernel_h - 1) * dilation_h + 1, 13))
    width = int(rng.integers((kernel_w - 1) * dilation_w + 1, 13))
    stride_h, stride_w = (int(s) for s in rng.integers(1, 4, 2))
    padding, out_size = same_or_valid(rng)
    m = ModelBuilder()
    x = m.tensor((1, height, width, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (1, kernel_h, kernel_w, channels), axis=3)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    shape = (
        1,
        out_size(height, kernel_h, stride_h, dilation_h),
        out_size(width, kernel_w, stride_w, dilation_w),
        channels,
    )
    y_scale = output_scale(rng, m.scale_of(x), w_scales, kernel_h * kernel_w)
    y = m.tensor(shape, np.int8, y_scale, zero_point(rng))
    m.op(
        "DEPTHWISE_CONV_2D", [x, w, b] if rng.random() < 0.9 else [x, w], [y], "DepthwiseConv2DOptions",
        strideH=stride_h, strideW=stride_w, dilationHFactor=dilation_h, dilationWFactor=dilation_w,
        padding=padding, fusedActivationFunction=activation_code(rng), depthMultiplier=multiplier,
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def fully_connected(rng: np.random.Generator) -> bytes:
    """Matrix product with one row or several."""
    rows, depth, channels = int(rng.integers(1, 4)), int(rng.integers(1, 40)), int(rng.integers(1, 20))
    m = ModelBuilder()
    x = m.tensor((rows, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, depth), axis=0, per_axis=bool(rng.random() < 0.3))
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y = m.tensor((rows, channels), np.int8, output_scale(rng, m.scale_of(x), w_scales, depth), zero_point(rng))
    m.op(
        "FULLY_CONNECTED", [x, w, b] if rng.random() < 0.8 else [x, w, -1], [y], "FullyConnectedOptions",
        fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


CASES = (
    OpCase("CONV_2D", conv_2d),
    OpCase("DEPTHWISE_CONV_2D", depthwise_conv_2d),
    OpCase("FULLY_CONNECTED", fully_connected),
)
