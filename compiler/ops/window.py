"""Padding and output size of sliding windows: convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.operator import Array


class Padding(Enum):
    """TFLite's two padding schemes."""

    SAME = "same"
    VALID = "valid"


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis of a sliding window: sizes in elements, `pad` before the first element."""

    input: int
    kernel: int
    stride: int
    dilation: int
    output: int
    pad: int

    @property
    def taps(self) -> range:
        """The kernel's taps that meet the input under at least one output."""
        first = -(-(self.pad - (self.output - 1) * self.stride) // self.dilation)
        last = (self.input - 1 + self.pad) // self.dilation
        return range(max(first, 0), min(last + 1, self.kernel))

    def meeting(self, tap: int) -> tuple[slice, slice]:
        """The outputs under which `tap` meets the input, and the input elements that it meets."""
        shift = tap * self.dilation - self.pad
        first = max(-(shift // self.stride), 0)
        last = min((self.input - 1 - shift) // self.stride + 1, self.output)
        if first >= last:
            return slice(0, 0), slice(0, 0)
        start = first * self.stride + shift
        return slice(first, last), slice(start, start + (last - first) * self.stride, self.stride)


def resolve_axis(input: int, kernel: int, stride: int, dilation: int, padding: Padding, where: str) -> Axis:
    """Output size and leading pad of one axis (ComputeOutSize and ComputePaddingWithOffset, TFLite padding.h)."""
    if min(input, kernel, stride, dilation) < 1:
        raise MalformedModel(f"{where} has a kernel, stride, dilation or input size below 1.")
    reach = (kernel - 1) * dilation + 1
    output = -(-input // stride) if padding is Padding.SAME else (input + stride - reach) // stride
    if output < 1:
        raise MalformedModel(f"{where} has a window of {reach} on an input of {input}: no output is left.")
    total = max((output - 1) * stride + reach - input, 0)
    return Axis(input, kernel, stride, dilation, output, total // 2 if padding is Padding.SAME else 0)


def sliding_windows(x: Array, rows: Axis, columns: Axis, fill: Any) -> Array:
    """Windows of x (N, H, W, C), padded with `fill`: a read-only view (N, OH, OW, KH, KW, C)."""
    batch, height, width, channels = x.shape
    after_rows = max((rows.output - 1) * rows.stride + (rows.kernel - 1) * rows.dilation + 1 - height - rows.pad, 0)
    after_columns = max(
        (columns.output - 1) * columns.stride + (columns.kernel - 1) * columns.dilation + 1 - width - columns.pad,
        0,
    )
    padded = np.full(
        (batch, rows.pad + height + after_rows, columns.pad + width + after_columns, channels), fill, x.dtype
    )
    padded[:, rows.pad : rows.pad + height, columns.pad : columns.pad + width] = x
    step_n, step_h, step_w, step_c = padded.strides
    return as_strided(
        padded,
        (batch, rows.output, columns.output, rows.kernel, columns.kernel, channels),
        (
            step_n,
            step_h * rows.stride,
            step_w * columns.stride,
            step_h * rows.dilation,
            step_w * columns.dilation,
            step_c,
        ),
        writeable=False,
    )
