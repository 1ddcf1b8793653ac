"""Layers with weights as matrix products over samples: their operands as rows, their weights as matrices."""

from __future__ import annotations

from math import gcd

import numpy as np

from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.convolution import WindowConvolution
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.quantize.samples import CHUNK

MOST_ROWS = 8192
"""Rows that a layer is fitted on: windows evenly spread over all samples."""


def is_linear(site: Site) -> bool:
    """Whether a node is a convolution, grouped or depthwise or neither, or a matrix product with constant weights
    and a bias."""
    known = isinstance(site.op, Conv2D | DepthwiseConv2D | FullyConnected)
    return known and site.input(1).role is Role.CONSTANT and site.has_input(2)


def weight_matrices(site: Site, weights: Array) -> Array:
    """Weights as (groups, outputs, taps): in each group of channels one row for each output channel."""
    if isinstance(site.op, FullyConnected):
        return weights[None]
    if isinstance(site.op, DepthwiseConv2D):
        _, height, width, channels = weights.shape
        taps = weights.reshape(height * width, -1, site.op.multiplier)
        return taps.transpose(1, 2, 0)
    channels, height, width, depth = weights.shape
    groups = site.input(0).type.shape[3] // depth
    return weights.reshape(groups, channels // groups, height * width * depth)


def from_matrices(site: Site, matrices: Array) -> Array:
    """The inverse of `weight_matrices`."""
    shape = site.input(1).type.shape
    return (
        matrices.transpose(2, 0, 1).reshape(shape) if isinstance(site.op, DepthwiseConv2D) else matrices.reshape(shape)
    )


def operand_rows(site: Site, x: Array) -> Array:
    """What each of some outputs is made from, (groups, rows, taps), of an operand (N, *shape) of the node.

    The same outputs are taken at every call with as many samples.
    """
    if isinstance(site.op, FullyConnected):
        rows = x.reshape(1, -1, site.input(1).type.shape[1])
        return rows[:, :: _step(rows.shape[1])]
    assert isinstance(site.op, WindowConvolution)
    height, width = (axis.output for axis in site.op.axes(site))
    step = _step(len(x) * height * width)
    while gcd(step, height * width) > 1:  # or else the same columns would be taken of every row
        step += 1
    parts = [all_windows(site, x[start : start + CHUNK])[:, ::step] for start in range(0, len(x), CHUNK)]
    return np.concatenate(parts, axis=1)


def _step(rows: int) -> int:
    return -(-rows // MOST_ROWS)


def all_windows(site: Site, x: Array) -> Array:
    """All windows of a convolution over samples (N, 1, H, W, C): (groups, windows, taps)."""
    assert isinstance(site.op, WindowConvolution)
    rows, columns = site.op.axes(site)
    images = x.reshape(len(x), *x.shape[2:])
    channels = images.shape[3]
    windows = np.zeros((len(x), rows.output, columns.output, rows.kernel, columns.kernel, channels), np.float32)
    for row in rows.taps:
        out_y, in_y = rows.meeting(row)
        for column in columns.taps:
            out_x, in_x = columns.meeting(column)
            windows[:, out_y, out_x, row, column] = images[:, in_y, in_x]
    groups = channels if isinstance(site.op, DepthwiseConv2D) else channels // site.input(1).type.shape[3]
    taps = rows.kernel * columns.kernel
    grouped = windows.reshape(-1, taps, groups, channels // groups).transpose(2, 0, 1, 3)
    return grouped.reshape(groups, -1, taps * (channels // groups))
