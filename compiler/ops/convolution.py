"""What the convolutions and the fully-connected layer share: multipliers, bias, accumulation, their constraints."""

from __future__ import annotations

import numpy as np
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Argument, Array, Input, Rounding, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation, quantized_range
from thimble.compiler.ops.fixed_point import (
    INT32_MAX,
    quantize_multiplier,
    requantize,
    requantize_once,
    requantize_wide,
    saturate,
)


def channel_multipliers(site: Site, channels: int) -> tuple[Array, Array]:
    """int32 multipliers and int8 shifts, one for each output channel: s_in * s_weight / s_out.

    The products are taken in double, as PopulateConvolutionQuantizationParams does (TFLite kernel_util.cc).
    """
    scale_in, scale_out = site.input(0).quant.scale, site.output().quant.scale
    scales = site.input(1).quant.scales
    if len(scales) == 1:
        scales = scales * channels
    pairs = [quantize_multiplier(scale_in * scale / scale_out) for scale in scales]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)


def bias_array(site: Site, channels: int) -> Array:
    """The bias, (channels,); zeros of the accumulator's type where the model has none."""
    if site.has_input(2):
        return site.input(2).constant
    return np.zeros(channels, np.int64 if site.input(0).type.dtype is DType.INT16 else np.int32)


def bias_argument(site: Site, channels: int) -> Argument:
    """The kernel's bias pointer: the model's own tensor, or a table of zeros."""
    return Input(2) if site.has_input(2) else Table("bias", bias_array(site, channels))


def finish(
    site: Site, accumulator: Array, channels: int, activation: Activation, single_rounding: bool = False
) -> Array:
    """Accumulator (..., channels) in int64, bias included, to the stored output: requantized, offset, clamped."""
    dtype = site.output().type.dtype
    multipliers, shifts = channel_multipliers(site, channels)
    if bias_array(site, channels).dtype == np.int64:
        scaled = requantize_wide(accumulator, multipliers, shifts)
    elif single_rounding:
        scaled = requantize_once(accumulator, multipliers, shifts)
    else:
        scaled = requantize(accumulator, multipliers, shifts)
    low, high = quantized_range(activation, site.output().quant, dtype)
    return saturate(scaled + site.output().quant.zero_point, low, high, dtype.numpy)


def exact_matmul(a: Array, b: Array) -> Array:
    """a @ b on integers, exact: float64 holds every sum below 2**53, and int8 or int16 products stay far under."""
    return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def accumulator_fits(site: Site) -> bool:
    """Bias plus the largest possible sum of products must fit 32 bits, or the accumulator could overflow."""
    if site.input(0).type.dtype is not DType.INT8:
        return True
    weights = site.input(1).constant.astype(np.int64)
    axis = 3 if site.op.name == "depthwise_conv_2d" else 0
    others = tuple(a for a in range(weights.ndim) if a != axis)
    zero_point = site.input(0).quant.zero_point
    reach = max(127 - zero_point, zero_point + 128)
    sums = np.abs(weights).sum(axis=others) * reach
    bias = np.abs(bias_array(site, weights.shape[axis]).astype(np.int64))
    return bias.shape == sums.shape and bool((sums + bias <= INT32_MAX).all())


def rounds_once(rounding: Rounding) -> bool:
    """Whether FULLY_CONNECTED rounds once: LiteRT's reference kernel does, TFLite Micro's does not."""
    return rounding is Rounding.LITERT
