"""The order in which the plain C kernels read and write, as the plan checker knows it: from the loops, by itself.

ops/overlapping.py derives distances from the lowest byte that is still to be read; here it is asked of every input
element which output element is the last to read it. Neither uses the other.
"""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Rounding, RowForm, Span
from thimble.compiler.ops.binary import BinaryOperator
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.conv_2d_add import RESIDUAL, Conv2DAdd
from thimble.compiler.ops.conv_2d_depthwise import Conv2DDepthwise
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.dequantize import Dequantize
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.quantize import Quantize
from thimble.compiler.ops.row_wise import one_row
from thimble.compiler.ops.select import Select
from thimble.compiler.ops.unary import UnaryOperator
from thimble.compiler.ops.window import Axis

_ONE_ROW = Axis(input=1, kernel=1, stride=1, dilation=1, output=1, pad=0)

KERNELS = frozenset(
    {
        *(
            f"{name}_{width}"
            for name in ("add", "mul", "extremum", "squared_difference")
            for width in ("s8", "s16", "s32")
        ),
        *(f"compare_{width}" for width in ("s8", "s32", "u8")),
        *(f"prelu_{width}" for width in ("s8", "s16")),
        *("select", "lookup_s8", "two_slopes_s16", "logistic_s16", "tanh_s16"),
        *(f"quantize_{width}" for width in ("s8", "s16")),
        *(f"dequantize_{width}" for width in ("s8", "u8", "s16")),
        *("requantize_s8_s8", "requantize_s8_u8", "requantize_u8_s8", "requantize_s8_s16", "requantize_s8_s32"),
        *("requantize_s16_s8", "requantize_s16_s16", "requantize_s32_s8"),
        *("conv_2d_add_s8", "conv_2d_depthwise_s8"),
        *(f"{name}_{width}" for name in ("conv_2d", "depthwise_conv_2d", "fully_connected") for width in ("s8", "s16")),
        *(f"fully_connected_litert_{width}" for width in ("s8", "s16")),
        *(f"{name}_pool_2d_{width}" for name in ("average", "max") for width in ("s8", "s16")),
        *(f"average_pool_2d_accumulate_{widths}" for widths in ("s8_s16", "s8_s32", "s16_s32")),
        *(f"reduce_sum_accumulate_{widths}" for widths in ("s8_s16", "s8_s32", "s16_s32")),
        *(f"max_accumulate_{width}" for width in ("s8", "s16")),
        *(f"fully_connected_accumulate_{width}" for width in ("s8", "s16")),
        *(f"fully_connected_litert_accumulate_{width}" for width in ("s8", "s16")),
    }
)
"""The kernels whose loops were read: what stands here about their operators is true of these and of no others."""

_WRITING_LATE = frozenset({"conv_2d_late_s8", "depthwise_conv_2d_late_s8"})
"""Kernels around two of these that write each pixel of an output row behind all reads for the next one."""


def last_readers(site: Site, index: int) -> Array | None:
    """For each element of an input, the last output element that reads it, in order of writing; -1 if none does.

    None for operators whose kernels read in another order, or in none that is known.
    """
    if isinstance(site.op, Conv2DAdd) and index == RESIDUAL:
        return np.arange(site.output().type.elements)
    site = _convolution_of(site)
    op, outputs = site.op, site.output().type
    if isinstance(op, BinaryOperator):
        return _last_of_broadcast(site.input(index).type.shape, outputs.shape)
    if isinstance(op, Select) and index > 0:
        return np.full(outputs.elements, -1)  # memmove: as if all were read before anything is written
    if index != 0:
        return None
    if isinstance(op, (UnaryOperator, Quantize, Dequantize)):
        return np.arange(outputs.elements)
    if isinstance(op, FullyConnected):
        channels, depth = site.input(1).type.shape
        return (np.arange(site.input(0).type.elements) // depth + 1) * channels - 1
    if isinstance(op, Conv2DDepthwise):
        return _last_behind_windows(site, op)
    if isinstance(op, (Conv2D, DepthwiseConv2D, Pool2D)):
        return _last_of_windows(site, op.axes(site))
    return None


def last_readers_in_row(site: Site, index: int) -> Array | None:
    """For each element of one row of an input, the last element of an output row that reads it, in a step of one row.

    -1 where no element is read behind the first write: so it is in the last step of an accumulating node, whose output
    is no row. All rows under a window are read at the same columns. None as above.
    """
    if isinstance(site.op, Conv2DAdd) and index == RESIDUAL:
        return None if site.op.rows(site) is None else np.arange(one_row(site).output().type.elements)
    site = _convolution_of(site)
    op, row = site.op, one_row(site)
    form = op.rows(site)
    if form is None:
        return None
    if form.accumulator_bytes:
        return np.full(row.input(index).type.elements, -1) if index == 0 else None
    if isinstance(op, (Conv2D, DepthwiseConv2D, Pool2D)):
        return _last_of_windows(row, (_ONE_ROW, op.axes(site)[1])) if index == 0 else None
    return last_readers(row, index)


def _convolution_of(site: Site) -> Site:
    """The convolution alone where an addition is a part of it: its own inputs are read in the same order."""
    return site.op.convolution_site(site) if isinstance(site.op, Conv2DAdd) else site


def elements_late(site: Site) -> int:
    """How many elements of a row are computed before one is written: a pixel's, where late kernels are called.

    A target's own kernels keep the order of those in whose place they stand.
    """
    kernels = {call.kernel for rounding in Rounding for call in site.op.lower_rows(site, rounding)}
    return site.output().type.shape[3] if kernels and kernels <= _WRITING_LATE else 0


def _last_of_windows(site: Site, axes: tuple[Axis, Axis]) -> Array:
    """The last readers of the elements of input 0 under windows along `axes`, pixel by pixel."""
    op, channels = site.op, site.output().type.shape[3]
    if isinstance(op, Conv2D):
        inside = _last_channel_of_group(site)
    elif isinstance(op, DepthwiseConv2D):
        inside = np.arange(1, site.input(0).type.shape[3] + 1) * op.multiplier - 1
    else:
        inside = np.arange(site.input(0).type.shape[3])
    pixels = _last_pixels(site, axes)[:, None]
    return np.where(pixels < 0, -1, pixels * channels + inside).reshape(-1)


def _last_behind_windows(site: Site, op: Conv2DDepthwise) -> Array:
    """The last readers of input 0 where each output pixel reads what the windows need that lie under its own one, no
    later than all channels of it: kernels read it sooner."""
    first, second = op.axes(site)
    rows, columns = (_last_behind(*axes) for axes in zip(first, second, strict=True))
    pixels = _pixels_of(rows, columns, second[1].output, site.input(0).type.shape[0], second[0].output)[:, None]
    channels, depth = site.output().type.shape[3], site.input(0).type.shape[3]
    return np.repeat(np.where(pixels < 0, -1, (pixels + 1) * channels - 1), depth, axis=1).reshape(-1)


def _last_behind(first: Axis, second: Axis) -> Array:
    """For each input position of `first`, the last output of `second` that needs an output made of it, or of one
    before; or -1."""
    made = _last_along(first)
    needing = np.maximum.accumulate(_last_along(second))
    return np.where(made < 0, -1, needing[made])


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
    """For each input pixel, the last output pixel under whose window it lies, or -1.

    A pixel lies under a window where its row and its column do, and of several the lowest comes last.
    """
    rows, columns = axes
    batch = site.input(0).type.shape[0]
    return _pixels_of(_last_along(rows), _last_along(columns), columns.output, batch, rows.output)


def _pixels_of(last_row: Array, last_column: Array, width: int, batch: int, height: int) -> Array:
    """The last output pixels of all images by those of a row and of a column, or -1 where one of both is."""
    last_row = last_row[:, None]
    pixels = np.where((last_row < 0) | (last_column < 0), -1, last_row * width + last_column)
    images = np.arange(batch)[:, None, None] * (height * width)
    return np.where(pixels < 0, -1, images + pixels).reshape(-1)


def _last_along(axis: Axis) -> Array:
    """For each input position along an axis, the last output whose window has a tap there, or -1.

    Windows at most a dilation apart are tried backwards from the last one that begins before the position; where
    there are fewer taps than that, they are laid out one by one: so windows as large as the input cost no time.
    """
    last = np.full(axis.input, -1)
    if len(axis.taps) < axis.dilation:
        outputs = np.arange(axis.output)
        for tap in axis.taps:
            made, read = axis.meeting(tap)
            last[read] = np.maximum(last[read], outputs[made])
        return last
    positions = np.arange(axis.input) + axis.pad
    latest = np.minimum(positions // axis.stride, axis.output - 1)
    for back in range(axis.dilation):
        candidates = latest - back
        reach = positions - candidates * axis.stride
        met = (candidates >= 0) & (reach % axis.dilation == 0) & (reach // axis.dilation < axis.kernel)
        last = np.where((last < 0) & met, candidates, last)
    return last


def rows_read(site: Site, form: RowForm, index: int, step: int) -> range:
    """The rows of an input that a step of the row form reads: by the geometry of windows, else as the form says."""
    spans = form.needs[index]
    if spans is None:
        return range(0)
    site = _convolution_of(site)
    if index != 0 or form.accumulator_bytes or not isinstance(site.op, (Conv2D, DepthwiseConv2D, Pool2D)):
        return range(*spans[step])
    axis = site.op.axes(site)[0]
    image, row = divmod(step, axis.output)
    met = _under_window(axis, row)
    return range(image * axis.input + met.start, image * axis.input + met.stop, met.step)


def columns_read(site: Site, index: int, columns: Span) -> Span | None:
    """The columns of an input that these columns of the output need: under windows by their geometry.

    None where the node cannot be split by columns; all of them where the output's are all.
    """
    if isinstance(site.op, Conv2DAdd) and index == RESIDUAL:
        return columns
    site = _convolution_of(site)
    if isinstance(site.op, (Conv2D, DepthwiseConv2D, Pool2D)) and index == 0:
        axis = site.op.axes(site)[1]
        met = [_under_window(axis, column) for column in range(*columns)]
        met = [positions for positions in met if positions]
        return (min(m[0] for m in met), max(m[-1] for m in met) + 1) if met else (0, 0)
    if columns == (0, site.output().type.columns):
        return (0, site.input(index).type.columns)
    needed = site.op.needed_columns(site, columns)
    return needed[index] if needed is not None else None


def _under_window(axis: Axis, output: int) -> range:
    """The inputs that the taps of a window meet."""
    start = output * axis.stride - axis.pad
    first = start if start >= 0 else start % axis.dilation
    return range(first, max(min(axis.input, start + axis.kernel * axis.dilation), first), axis.dilation)
