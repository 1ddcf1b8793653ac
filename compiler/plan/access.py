"""The order in which the plain C kernels read and write, as the plan checker knows it: from the loops, by itself.

ops/overlapping.py derives distances from the lowest byte that is still to be read; here it is asked of every input
element which output element is the last to read it. Neither uses the other.
"""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.binary import BinaryOperator
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.unary import UnaryOperator
from thimble.compiler.ops.window import Axis

KERNELS = frozenset(
    {
        *(
            f"{name}_{width}"
            for name in ("add", "mul", "extremum", "squared_difference")
            for width in ("s8", "s16", "s32")
        ),
        *(f"compare_{width}" for width in ("s8", "s32", "u8")),
        *(f"prelu_{width}" for width in ("s8", "s16")),
        *("lookup_s8", "two_slopes_s16", "logistic_s16", "tanh_s16"),
        *(f"quantize_{width}" for width in ("s8", "s16")),
        *(f"dequantize_{width}" for width in ("s8", "u8", "s16")),
        *("requantize_s8_s8", "requantize_s8_u8", "requantize_u8_s8", "requantize_s8_s16", "requantize_s8_s32"),
        *("requantize_s16_s8", "requantize_s16_s16", "requantize_s32_s8"),
        *(f"{name}_{width}" for name in ("conv_2d", "depthwise_conv_2d", "fully_connected") for width in ("s8", "s16")),
        *(f"fully_connected_litert_{width}" for width in ("s8", "s16")),
        *(f"{name}_pool_2d_{width}" for name in ("average", "max") for width in ("s8", "s16")),
    }
)
"""The kernels whose loops were read: what stands here about their operators is true of these and of no others."""


def last_readers(site: Site, index: int) -> Array | None:
    """For each element of an input, the last output element that reads it, in order of writing; -1 if none does.

    None for operators whose kernels read in another order, or in none that is known.
    """
    op = site.op
    outputs = site.output().type
    if isinstance(op, BinaryOperator):
        return _last_of_broadcast(site.input(index).type.shape, outputs.shape)
    if index != 0:
        return None
    if isinstance(op, (UnaryOperator, Quantize, Dequantize)):
        return np.arange(outputs.elements)
    if isinstance(op, FullyConnected):
        channels, depth = site.input(1).type.shape
        return (np.arange(site.input(0).type.elements) // depth + 1) * channels - 1
    if isinstance(op, Conv2D):
        inside = _last_channel_of_group(site)
    elif isinstance(op, DepthwiseConv2D):
        inside = np.arange(1, site.input(0).type.shape[3] + 1) * op.multiplier - 1
    elif isinstance(op, Pool2D):
        inside = np.arange(site.input(0).type.shape[3])
    else:
        return None
    pixels = _last_pixels(site, op.axes(site))[:, None]
    return np.where(pixels < 0, -1, pixels * outputs.shape[3] + inside).reshape(-1)


def _last_of_broadcast(operand: tuple[int, ...], output: tuple[int, ...]) -> Array:
    """The highest output index that is stretched from each operand element: the last one along stretched axes."""
    numbers = np.arange(int(np.prod(output, dtype=np.int64))).reshape(output)
    if not numbers.size:
        return np.full(int(np.prod(operand, dtype=np.int64)), -1)
    padded = (1,) * (len(output) - len(operand)) + operand
    for axis, size in enumerate(padded):
        if size == 1:
            numbers = numbers.take([-1], axis)
    return np.asarray(numbers.reshape(-1))


def _last_channel_of_group(site: Site) -> Array:
    """For each input channel of a convolution, the last output channel of its group."""
    channels, depth = site.input(0).type.shape[3], site.input(1).type.shape[3]
    outputs_per_group = site.output().type.shape[3] // (channels // depth)
    return (np.arange(channels) // depth + 1) * outputs_per_group - 1


def _last_pixels(site: Site, axes: tuple[Axis, Axis]) -> Array:
    """For each input pixel, the last output pixel under whose window it lies, or -1: all taps are laid out."""
    batch, height, width, _ = site.input(0).type.shape
    rows, columns = axes
    numbers = np.arange(batch * rows.output * columns.output).reshape(batch, rows.output, columns.output)
    last = np.full((batch, height, width), -1)
    for row in rows.taps:
        out_y, in_y = rows.meeting(row)
        for column in columns.taps:
            out_x, in_x = columns.meeting(column)
            last[:, in_y, in_x] = np.maximum(last[:, in_y, in_x], numbers[:, out_y, out_x])
    return last.reshape(-1)
