"""Weights to int8, symmetric in [-127, 127], one scale for each output channel; bias to int32."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.errors import UnsupportedOp
from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.quantize.parameters import QuantizedWeights

WEIGHT_MAX = 127
"""-128 is not used, so that kernels may rely on symmetric weights (TFLite's quantization specification)."""

BIAS_MAX = 1 << 30
"""Half of what int32 holds: the accumulator keeps room for the products."""

_CLIPS = np.linspace(1.0, 0.5, 51)
"""Candidates for the largest weight kept, as shares of the largest one there is."""


def weight_levels(dtype: DType) -> tuple[int, int]:
    """The least and the largest weight of a type: all that it holds but for int8."""
    return (-WEIGHT_MAX, WEIGHT_MAX) if dtype is DType.INT8 else dtype.range


def channel_axis(site: Site) -> int:
    """The axis of the weights that counts output channels."""
    return 3 if isinstance(site.op, DepthwiseConv2D) else 0


def channels_first(weights: Array, axis: int) -> Array:
    """Weights as a matrix with one row for each output channel."""
    return np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)


def per_channel(row: Array, axis: int, rank: int) -> Array:
    """One number for each output channel, shaped to be broadcast against the weights."""
    shape = [1] * rank
    shape[axis] = -1
    return row.reshape(shape)


def has_weights(site: Site) -> bool:
    """Whether a node multiplies by constant weights, which get a scale for each channel."""
    return isinstance(site.op, WeightedOperator) and site.input(1).role is Role.CONSTANT


def weight_scales(site: Site, in_scale: float, clip: bool) -> Array:
    """A float32 scale for each output channel; with `clip`, the one of least squared error.

    A channel whose weights are all but 0 gets the larger scale at which its bias still fits.
    """
    rows = channels_first(site.input(1).constant, channel_axis(site))
    peak = np.abs(rows).max(axis=1)
    if not np.isfinite(peak).all():
        raise UnsupportedOp(f"{site.source} has weights that are not finite numbers.")
    scales = peak / WEIGHT_MAX
    if clip:
        scales = scales * _best_clips(rows, peak)
    smallest = np.full(len(scales), np.finfo(np.float32).tiny * 2.0**30)
    if site.has_input(2):
        smallest = np.maximum(smallest, np.abs(site.input(2).constant.reshape(-1)) / (in_scale * BIAS_MAX))
    return np.asarray(np.maximum(scales, smallest), np.float32)


def _best_clips(rows: Array, peak: Array) -> Array:
    """For each channel the share of its largest weight at which rounding and clipping lose least together."""
    errors = np.empty((len(_CLIPS), len(rows)))
    for i, clip in enumerate(_CLIPS):
        scale = np.maximum(peak * clip / WEIGHT_MAX, np.finfo(np.float32).tiny)[:, None]
        stored = np.clip(np.rint(rows / scale), -WEIGHT_MAX, WEIGHT_MAX)
        errors[i] = ((stored * scale - rows) ** 2).sum(axis=1)
    return np.asarray(_CLIPS[errors.argmin(axis=0)])


def quantize_weights(site: Site, in_scale: float, clip: bool = False, scales: Array | None = None) -> QuantizedWeights:
    """The weights and bias of a float node whose input has the scale `in_scale`."""
    if scales is None:
        scales = weight_scales(site, in_scale, clip)
    weights, axis = site.input(1).constant, channel_axis(site)
    steps = weights / per_channel(scales, axis, weights.ndim)
    data = np.clip(np.rint(steps), -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)
    bias = store_bias(site.input(2).constant, in_scale, scales) if site.has_input(2) else None
    return QuantizedWeights(data, scales, bias)


def store_bias(bias: Array, in_scale: float, scales: Array) -> Array:
    """A real bias as int32 at input scale times weight scale."""
    steps = np.rint(bias.reshape(-1).astype(np.float64) / (np.float64(in_scale) * scales))
    return np.clip(steps, -BIAS_MAX, BIAS_MAX).astype(np.int32)


def real_weights(weights: QuantizedWeights, axis: int) -> Array:
    """The float32 numbers that the integers stand for."""
    return np.asarray(weights.data * per_channel(weights.scales, axis, weights.data.ndim), np.float32)
