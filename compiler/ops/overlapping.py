"""How far before an operand an output may begin and lie over it, for the orders in which the plain C kernels work.

All of them write the output once, from its first byte to its last. A byte of the operand may be overwritten as soon
as no later output element reads it: so the output must begin as many bytes before the operand as the end of what is
written ever gets ahead of the lowest byte that is still to be read.
"""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Overlap
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.window import Axis

MAX_ELEMENTS = 1 << 22
"""Tensors above this stay apart from their operands: it would take long to look, and no arena holds them anyway."""

_NEVER = 1 << 58
_BYTE_TYPES = (DType.INT2, DType.INT4, DType.INT8, DType.UINT8, DType.BOOL)


def element_by_element(site: Site) -> tuple[Overlap, ...]:
    """Output element i is made of element i of input 0 alone: thimble_lookup_s8 and all conversions."""
    return _overlap(site, 0, np.arange(site.output().type.elements)) if _is_small(site) else ()


def broadcast_elements(site: Site) -> tuple[Overlap, ...]:
    """Output elements in order, each made of one element of either input: all kernels that use thimble_broadcast.h."""
    found: tuple[Overlap, ...] = ()
    for index in range(2) if _is_small(site) else ():
        type_ = site.input(index).type
        elements = np.arange(type_.elements).reshape(type_.shape)
        found += _overlap(site, index, np.broadcast_to(elements, site.output().type.shape).reshape(-1))
    return found


def whole_rows(site: Site) -> tuple[Overlap, ...]:
    """Each output element of a row reads the whole row of input 0: the matrix products."""
    channels, depth = site.input(1).type.shape
    if not _is_small(site):
        return ()
    return _overlap(site, 0, np.repeat(np.arange(0, site.input(0).type.elements, depth), channels))


def pixel_windows(site: Site, axes: tuple[Axis, Axis]) -> tuple[Overlap, ...]:
    """Each channel of an output pixel reads all channels of the window: convolutions. Groups count as one."""
    if not _is_small(site):
        return ()
    return _overlap(site, 0, np.repeat(_first_of_windows(site, axes), site.output().type.shape[3]))


def channel_windows(site: Site, axes: tuple[Axis, Axis], multiplier: int = 1) -> tuple[Overlap, ...]:
    """Each channel of an output pixel reads one channel of the window: pools and depthwise convolutions."""
    if not _is_small(site):
        return ()
    firsts = _first_of_windows(site, axes)
    channels = np.arange(site.output().type.shape[3]) // multiplier
    return _overlap(site, 0, (firsts[:, None] + channels).reshape(-1))


def _is_small(site: Site) -> bool:
    return max(value.type.elements for value in (site.input(0), site.output())) <= MAX_ELEMENTS


def _first_of_windows(site: Site, axes: tuple[Axis, Axis]) -> Array:
    """For each output pixel, the lowest element of input 0 that its window meets; huge where it meets none."""
    batch, height, width, channels = site.input(0).type.shape
    images = np.arange(batch)[:, None, None] * height
    rows, columns = (_first_met(axis) for axis in axes)
    firsts = ((images + rows[:, None]) * width + columns) * channels
    met = (rows < _NEVER)[:, None] & (columns < _NEVER)
    return np.where(met, firsts, _NEVER).reshape(-1)


def _first_met(axis: Axis) -> Array:
    """For each output along an axis, the first input that its window meets."""
    starts = np.arange(axis.output) * axis.stride - axis.pad
    skipped = np.maximum(-(starts // axis.dilation), 0)  # taps before the first input
    firsts = starts + skipped * axis.dilation
    return np.where((skipped < axis.kernel) & (firsts < axis.input), firsts, _NEVER)


def _overlap(site: Site, index: int, lowest_reads: Array) -> tuple[Overlap, ...]:
    """The overlap with an input of which output element i reads nothing below element `lowest_reads[i]`.

    C forbids the optimizer little where types differ: only bytes may be read and written under another type.
    """
    read, written = site.input(index).type, site.output().type
    if read.dtype is not written.dtype and read.dtype not in _BYTE_TYPES and written.dtype not in _BYTE_TYPES:
        return ()
    if not lowest_reads.size:
        return ()
    still_read = read.first_bytes(np.minimum.accumulate(lowest_reads[::-1])[::-1])
    ends = written.first_bytes(np.arange(written.elements - 1)) + written.dtype.alignment
    distance = int((ends - still_read[1:]).max(initial=-read.bytes))
    return (Overlap(index, distance),)
