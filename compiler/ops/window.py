"""Padding and output size of sliding windows: convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.operator import Span

MAX_REACH = 1 << 30
"""Largest extent of a dilated window, and largest stride of a transposed one: kernels compute positions in 32 bits."""

WINDOW = "window."
"""What the names of a kernel's parameters begin with that are fields of its `window` (thimble_window.h)."""

WINDOW_FIELDS = (
    *("input_height", "input_width", "kernel_height", "kernel_width", "stride_height", "stride_width"),
    *("pad_top", "pad_left", "output_height", "output_width"),
)
"""These fields, in order."""


class Padding(Enum):
    """TFLite's two padding schemes."""

    SAME = "same"
    VALID = "valid"

    @property
    def along_height(self) -> Padding:
        """The scheme of one axis."""
        return self

    @property
    def along_width(self) -> Padding:
        """The scheme of one axis."""
        return self


@dataclass(frozen=True, slots=True)
class ExplicitPadding:
    """Elements (before, after) the input along each axis; no model holds it, passes make it of a PAD."""

    along_height: tuple[int, int]
    along_width: tuple[int, int]


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
    def overhang(self) -> tuple[int, int]:
        """How many elements the windows reach beyond the input: (before, after) it."""
        return self.pad, max(self._extent((0, self.output))[1] - self.input, 0)

    def _extent(self, outputs: Span) -> Span:
        """From the first tap of the first of these outputs' windows to the last tap of the last, wherever they lie."""
        start, last = (output * self.stride - self.pad for output in (outputs[0], outputs[1] - 1))
        return start, last + (self.kernel - 1) * self.dilation + 1

    def reads(self, outputs: Span) -> Span:
        """The input elements between the first and the last tap of these outputs' windows; none may be left."""
        start, end = self._extent(outputs)
        return min(max(start, 0), self.input), min(max(end, 0), self.input)

    def margins(self, outputs: Span) -> tuple[int, int]:
        """How many elements these outputs' windows reach beyond what they read: (before, after) it."""
        (start, end), (first, behind) = self._extent(outputs), self.reads(outputs)
        return first - start, end - behind

    @property
    def meets_input(self) -> bool:
        """Whether every window begins before the end of the input and ends behind its beginning."""
        return self._extent((0, 1))[1] > 0 and self._extent((self.output - 1, self.output))[0] < self.input

    @property
    def is_global(self) -> bool:
        """Whether there is one window, and the whole input lies under it."""
        start, end = self._extent((0, 1))
        return self.output == 1 and self.dilation == 1 and start <= 0 and end >= self.input

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


def window_params(rows: Axis, columns: Axis) -> tuple[tuple[str, int], ...]:
    """The parameters of a kernel whose `window` slides along both axes, as far as they are fields of it."""
    fields = ((axes.input, axes.kernel, axes.stride, axes.pad, axes.output) for axes in (rows, columns))
    values = (value for pair in zip(*fields, strict=True) for value in pair)
    return tuple((WINDOW + name, value) for name, value in zip(WINDOW_FIELDS, values, strict=True))


def resolve_axis(
    input: int, kernel: int, stride: int, dilation: int, padding: Padding | tuple[int, int], where: str
) -> Axis:
    """Output size and leading pad of one axis (ComputeOutSize and ComputePaddingWithOffset, TFLite padding.h).

    `padding` may be the elements (before, after) the input. Raises MalformedModel where no output is left.
    """
    if min(input, kernel, stride, dilation) < 1:
        raise MalformedModel(f"{where} has a kernel, stride, dilation or input size below 1.")
    reach = (kernel - 1) * dilation + 1
    if reach > MAX_REACH:
        raise MalformedModel(f"{where} has a window of {reach} elements; at most {MAX_REACH} are possible.")
    before, after = padding if isinstance(padding, tuple) else (0, 0)
    padded = before + input + after
    output = -(-input // stride) if padding is Padding.SAME else (padded + stride - reach) // stride
    if output < 1:
        raise MalformedModel(f"{where} has a window of {reach} on an input of {padded}: no output is left.")
    total = max((output - 1) * stride + reach - input, 0)
    return Axis(input, kernel, stride, dilation, output, total // 2 if padding is Padding.SAME else before)


def transposed_axis(input: int, output: int, kernel: int, stride: int, padding: Padding, where: str) -> Axis:
    """One axis of a transposed convolution, as the convolution that runs the other way, from `output` to `input`.

    Any output size is possible: where it asks for more than the windows reach, the rest is bias alone. The pad is
    that of the convolution (ComputePaddingHeightWidth in TFLite padding.h, whose divisions cut towards zero).
    """
    if min(input, output, kernel, stride) < 1:
        raise MalformedModel(f"{where} has a kernel, stride or size below 1.")
    if stride > MAX_REACH:
        raise MalformedModel(f"{where} has a stride of {stride}; at most {MAX_REACH} is possible.")
    steps = output + stride - (1 if padding is Padding.SAME else kernel)
    windows = steps // stride if steps >= 0 else -(-steps // stride)
    total = max((windows - 1) * stride + kernel - output, 0)
    return Axis(output, kernel, stride, 1, input, total // 2)
