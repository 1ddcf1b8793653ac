"""Output rows over dying rows: distances against the loops of the kernels, laid out read by read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.ops.case import OpCase
from tests.ops.table import CASES
from tests.ops.test_rows import ROW_FORMS, nodes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.pool_2d import Pool2D
from thimble.compiler.ops.row_wise import one_row
from thimble.compiler.plan.access import KERNELS, last_readers_in_row

Read = tuple[int, int]
"""An output element of a row, and an element of the operand's row that is read for it."""

WINDOWS = (Conv2D, DepthwiseConv2D, Pool2D)


def window_reads(site: Site) -> Iterator[Read]:
    """Pixel by pixel, channel by channel, tap by tap: what a convolution or a pool reads of each row of its windows."""
    op = site.op
    assert isinstance(op, WINDOWS)
    axis = op.axes(site)[1]
    depth, channels = site.input(0).type.shape[3], site.output().type.shape[3]
    for x in range(axis.output):
        for channel in range(channels):
            for tap in axis.taps:
                column = x * axis.stride - axis.pad + tap * axis.dilation
                if 0 <= column < axis.input:
                    for read in channels_read(site, channel):
                        yield x * channels + channel, column * depth + read


def channels_read(site: Site, channel: int) -> range:
    """The input channels that an output channel is made of."""
    op = site.op
    if isinstance(op, Conv2D):
        depth = site.input(1).type.shape[3]
        group = channel // (site.output().type.shape[3] // (site.input(0).type.shape[3] // depth))
        return range(group * depth, (group + 1) * depth)
    first = channel // op.multiplier if isinstance(op, DepthwiseConv2D) else channel
    return range(first, first + 1)


def row_reads(site: Site, index: int) -> Iterator[Read]:
    """The same for operators that work on whole tensors as on rows: `site` has one row."""
    operand, made = site.input(index).type, site.output().type
    if isinstance(site.op, FullyConnected):
        channels, depth = site.input(1).type.shape
        for output in range(made.elements):
            for read in range(depth):
                yield output, output // channels * depth + read
        return
    numbers = np.arange(operand.elements).reshape(operand.shape)
    yield from enumerate(np.broadcast_to(numbers, made.shape).reshape(-1).tolist())


def last_reads(site: Site, index: int) -> np.ndarray:
    """The last output element that each element of an operand's row is read for, or -1."""
    row = one_row(site)
    reads = window_reads(site) if isinstance(site.op, WINDOWS) else row_reads(row, index)
    last = np.full(row.input(index).type.elements, -1)
    for output, read in reads:
        last[read] = max(last[read], output)
    return last


def is_grouped(site: Site) -> bool:
    return isinstance(site.op, Conv2D) and site.input(0).type.shape[3] != site.input(1).type.shape[3]


@pytest.mark.parametrize("case", [c for c in CASES if c.operator in ROW_FORMS], ids=lambda case: case.id)
def test_distances_are_the_least_for_the_loops_of_the_kernels(case: OpCase) -> None:
    for _, _, _, site, form, _ in nodes_of(case, models=12):
        for overlap in form.overlaps:
            value, made = site.input(overlap.input).type, site.output().type
            known = last_readers_in_row(site, overlap.input)
            assert known is not None
            if form.accumulator_bytes:
                assert (known == -1).all()
                assert overlap.distance == -value.row_bytes
                continue
            if value.row_bytes * made.row_bytes > 1 << 20:
                continue
            last = last_reads(site, overlap.input)
            assert (known == last).all()
            # Element e is read for output element last[e], behind the writes of all output elements before that.
            starts = np.arange(last.size) * value.dtype.bytes
            written = last * made.dtype.bytes
            least = int((written - starts)[last > 0].max(initial=-value.row_bytes))
            assert overlap.distance >= least if is_grouped(site) else overlap.distance == least


def test_the_kernels_of_steps_that_overlap_are_known() -> None:
    used: set[str] = set()
    for case in CASES:
        for _, _, _, site, form, _ in nodes_of(case, models=12):
            if form.overlaps:
                used |= {call.kernel for rounding in Rounding for call in site.op.lower_rows(site, rounding)}
    assert used <= KERNELS
    assert {"conv_2d_s8", "depthwise_conv_2d_s16", "add_s8", "average_pool_2d_accumulate_s8_s16"} <= used
