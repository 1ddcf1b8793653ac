"""Sliding windows of convolutions and pools: attributes of a node as strides, dilations and padding per axis."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.compiler.importers.onnx.decoding import FileNode
from thimble.compiler.ir.operator import Shape
from thimble.compiler.ops.window import MAX_REACH, ExplicitPadding, Padding

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class WindowAxis:
    """One spatial axis: `pads` are (before, after) the input, `ceiling` how many more elements a last window needs."""

    input: int
    kernel: int
    stride: int
    dilation: int
    pads: Pair
    ceiling: int = 0

    @property
    def reach(self) -> int:
        """Elements from a window's first to its last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def output(self) -> int:
        """How many windows there are."""
        return (sum(self.pads) + self.ceiling + self.input - self.reach) // self.stride + 1

    @property
    def all_padding(self) -> Pair:
        """Elements (before, after) the input that windows may cover."""
        return self.pads[0], self.pads[1] + self.ceiling

    @property
    def is_same(self) -> bool:
        """Whether this is TFLite's SAME padding."""
        output = -(-self.input // self.stride)
        total = max((output - 1) * self.stride + self.reach - self.input, 0)
        return self.output == output and self.pads[0] == total // 2 and not self.ceiling

    @property
    def windows_in_padding(self) -> bool:
        """Whether some window may lie beyond the input altogether."""
        last = (self.output - 1) * self.stride - self.pads[0]
        return self.pads[0] >= self.reach or last >= self.input


def padding_of(rows: WindowAxis, columns: WindowAxis) -> Padding | ExplicitPadding:
    """The padding of two axes as the operators have it."""
    if rows.is_same and columns.is_same:
        return Padding.SAME
    if rows.all_padding == columns.all_padding == (0, 0):
        return Padding.VALID
    return ExplicitPadding(rows.all_padding, columns.all_padding)


def window_axes(node: FileNode, sizes: Shape, kernel: Shape) -> list[WindowAxis]:
    """The spatial axes of a node from its strides, dilations, pads, auto_pad and ceil_mode; checks all of them."""
    rank = len(sizes)
    strides = node.ints("strides") or (1,) * rank
    dilations = node.ints("dilations") or (1,) * rank
    if not len(strides) == len(dilations) == len(kernel) == rank:
        raise node.malformed(f"it needs a kernel size, stride and dilation for each of {rank} axes.")
    if min(*strides, *dilations, *kernel, *sizes, 1) < 1 or max(*strides, *dilations, *kernel, 1) > MAX_REACH:
        raise node.malformed("a kernel, stride, dilation or input size is out of range.")
    pads = _pads(node, sizes, kernel, strides, dilations)
    axes = [WindowAxis(*values) for values in zip(sizes, kernel, strides, dilations, pads, strict=True)]
    if node.integer("ceil_mode", 0) and node.text("auto_pad", "NOTSET") in ("NOTSET", ""):
        axes = [_with_ceiling(axis) for axis in axes]
    for axis in axes:
        if axis.reach > MAX_REACH or min(axis.pads) < 0 or max(axis.pads) > MAX_REACH:
            raise node.malformed("its window or its padding is out of range.")
        if axis.output < 1:
            raise node.malformed(f"its window of {axis.reach} on an input of {axis.input} leaves no output.")
    return axes


def _pads(node: FileNode, sizes: Shape, kernel: Shape, strides: Shape, dilations: Shape) -> list[Pair]:
    mode = node.text("auto_pad", "NOTSET") or "NOTSET"
    if mode == "NOTSET":
        pads = node.ints("pads") or (0,) * (2 * len(sizes))
        if len(pads) != 2 * len(sizes):
            raise node.malformed(f"it has {len(pads)} pads for {len(sizes)} axes.")
        return list(zip(pads[: len(sizes)], pads[len(sizes) :], strict=True))
    if mode == "VALID":
        return [(0, 0)] * len(sizes)
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise node.malformed("its auto_pad does not exist.")
    pairs = []
    for size, extent, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (extent - 1) * dilation + 1 - size, 0)
        before = total // 2 if mode == "SAME_UPPER" else total - total // 2
        pairs.append((before, total - before))
    return pairs


def _with_ceiling(axis: WindowAxis) -> WindowAxis:
    """The axis with one more, partial window where elements are left over, unless it would begin in the padding."""
    padded = sum(axis.pads) + axis.input
    windows = -(-(padded - axis.reach) // axis.stride) + 1
    if (windows - 1) * axis.stride >= axis.input + axis.pads[0]:
        windows -= 1
    missing = max((windows - 1) * axis.stride + axis.reach - padded, 0)
    return WindowAxis(axis.input, axis.kernel, axis.stride, axis.dilation, axis.pads, missing)
