"""Decoders of convolutions: weights (O, C / groups, spatial...) become (O, spatial..., C / groups)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from thimble.compiler.importers.onnx.builder import Builder, Tensor, channels_last
from thimble.compiler.importers.onnx.decode_movement import concatenate, split, take_box
from thimble.compiler.importers.onnx.decoding import Decoder, FileNode
from thimble.compiler.importers.onnx.padding import pad_tensor
from thimble.compiler.importers.onnx.windows import WindowAxis, padding_of, window_axes
from thimble.compiler.ir.operator import Operator, Shape
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.transpose_conv import TransposeConv
from thimble.compiler.ops.window import ExplicitPadding, Padding, transposed_axis


class _Window(TypedDict):
    """What all sliding windows have."""

    activation: Activation
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    padding: Padding | ExplicitPadding


POINT = WindowAxis(1, 1, 1, 1, (0, 0))
"""The height of a row: what one-dimensional operators have as two-dimensional ones."""


def image(builder: Builder, x: Tensor) -> Tensor:
    """A tensor (N, C, W) or (N, C, H, W) as a stored (N, H, W, C), H = 1 for the former."""
    last = builder.ordered(x, channels_last(len(x.order)))
    stored = builder.value(last).type.shape
    if len(stored) == 4:
        return builder.tensor(last.index)
    return builder.reshape(builder.tensor(last.index), (stored[0], 1, *stored[1:]))


def from_image(builder: Builder, stored: Tensor, rank: int) -> Tensor:
    """The reverse of `image` for a result of `rank` dimensions."""
    shape = builder.value(stored).type.shape
    made = stored if rank == 4 else builder.reshape(stored, (shape[0], *shape[2:]))
    return builder.tensor(made.index, channels_last(rank))


def _check(node: FileNode, x: Shape, weights: Shape) -> None:
    """Raise for shapes that make no sense together, or of more than two spatial axes."""
    if len(x) != len(weights) or len(x) < 3 or 0 in weights or node.integer("group", 1) < 1:
        raise node.malformed(f"it has weights {weights} for an input {x}.")
    if len(x) > 4:
        raise node.refused(f"convolutions over {len(x) - 2} axes are not supported; one or two are.")
    kernel = node.ints("kernel_shape")
    if kernel is not None and kernel != weights[2:]:
        raise node.malformed(f"its kernel_shape {kernel} is not that of its weights {weights}.")


def _conv(node: FileNode) -> Sequence[Tensor]:
    return [convolve(node, node.input(0), node.input(1), node.optional(2))]


def convolve(node: FileNode, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution that a node's attributes describe."""
    b, shape, kernel = node.builder, node.builder.shape(x), node.builder.shape(weights)
    _check(node, shape, kernel)
    groups = node.integer("group", 1)
    if shape[1] != kernel[1] * groups or kernel[0] % groups:
        raise node.malformed(f"it has weights {kernel} and {groups} groups for an input {shape}.")
    axes = window_axes(node, shape[2:], kernel[2:])
    rows, columns = axes if len(axes) == 2 else (POINT, axes[0])
    window = _Window(
        activation=Activation.NONE,
        stride_height=rows.stride,
        stride_width=columns.stride,
        dilation_height=rows.dilation,
        dilation_width=columns.dilation,
        padding=padding_of(rows, columns),
    )
    op: Operator
    if groups == shape[1] and kernel[1] == 1 and groups > 1:
        stored = b.tensor(b.ordered(weights, (1, *range(2, len(kernel)), 0)).index)
        stored = stored if len(kernel) == 4 else b.reshape(stored, (1, 1, *b.shape(stored)[1:]))
        op = DepthwiseConv2D(**window, multiplier=kernel[0] // groups)
    else:
        stored = image(b, weights)
        op = Conv2D(**window)
    inputs = [image(b, x).index, stored.index, *([] if bias is None else [b.plain(bias).index])]
    (made,) = b.emit(op, inputs)
    return from_image(b, b.tensor(made), len(shape))


def _conv_transpose(node: FileNode) -> Sequence[Tensor]:
    b = node.builder
    x, weights, groups = node.shape(0), node.shape(1), node.integer("group", 1)
    _check(node, x, weights)
    if x[1] != weights[0] or weights[0] % groups:
        raise node.malformed(f"it has weights {weights} and {groups} groups for an input {x}.")
    axes = _transposed_axes(node, x[2:], weights[2:])
    kernel = _dilated(b, node.input(1), [axis.dilation for axis in axes])
    inputs = split(b, node.input(), 1, [x[1] // groups] * groups)
    kernels = split(b, kernel, 0, [x[1] // groups] * groups)
    biases = _group_biases(node, groups, weights[1])
    parts = [_spread(b, *part, axes) for part in zip(inputs, kernels, biases, strict=True)]
    return [concatenate(b, parts, 1)]


def _group_biases(node: FileNode, groups: int, channels: int) -> list[Tensor | None]:
    bias = node.optional(2)
    if bias is None:
        return [None] * groups
    if node.shape(2) != (groups * channels,):
        raise node.malformed(f"it has a bias {node.shape(2)} for {groups * channels} channels.")
    return [*split(node.builder, bias, 0, [channels] * groups)]


def _transposed_axes(node: FileNode, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> list[WindowAxis]:
    """For each axis the pads to cut off, and in `ceiling` how many elements to add (output_padding)."""
    rank = len(sizes)
    extra = list(node.ints("output_padding") or (0,) * rank)
    asked = node.ints("output_shape")
    mode = node.text("auto_pad", "NOTSET") or "NOTSET"
    strides, dilations = node.ints("strides") or (1,) * rank, node.ints("dilations") or (1,) * rank
    pads = node.ints("pads") or (0,) * (2 * rank)
    lengths = {len(strides), len(dilations), len(extra), len(kernel), len(pads) // 2, len(asked or sizes)}
    if lengths != {rank} or min(*strides, *dilations, *kernel, *sizes) < 1 or min(*extra, *pads) < 0:
        raise node.malformed(f"it needs strides, dilations, pads and output padding for each of {rank} axes.")
    if max(*strides, *dilations, *kernel, *extra, *pads, *(asked or ())) > 1 << 16:
        raise node.refused("strides, dilations and pads above 65536 are not supported.")
    axes = []
    for i, size in enumerate(sizes):
        full = (size - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 + extra[i]
        pair = (pads[i], pads[i + rank])
        if asked is not None or mode in ("SAME_UPPER", "SAME_LOWER"):
            total = full - (asked[i] if asked is not None else size * strides[i])
            extra[i], total = extra[i] + max(-total, 0), max(total, 0)
            full = (size - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 + extra[i]
            half = total // 2
            pair = (half, total - half) if mode == "SAME_UPPER" else (total - half, half)
        elif mode == "VALID":
            pair = (0, 0)
        if full - sum(pair) < 1:
            raise node.malformed(f"its pads {pair} leave nothing of an output of {full}.")
        axes.append(WindowAxis(size, kernel[i], strides[i], dilations[i], pair, extra[i]))
    return axes


def _dilated(b: Builder, weights: Tensor, dilations: Sequence[int]) -> Tensor:
    """Weights with dilation - 1 zeros between neighbours along each spatial axis."""
    for axis, dilation in enumerate(dilations, 2):
        shape = b.shape(weights)
        if dilation == 1:
            continue
        wide = b.reshape(weights, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
        frame = [(0, 0)] * (len(shape) + 1)
        frame[axis + 1] = (0, dilation - 1)
        spread = b.reshape(
            pad_tensor(b, wide, frame, "constant"), (*shape[:axis], shape[axis] * dilation, *shape[axis + 1 :])
        )
        spans = [(0, dim, 1) for dim in b.shape(spread)]
        spans[axis] = (0, (shape[axis] - 1) * dilation + 1, 1)
        weights = take_box(b, spread, spans)
    return weights


def _spread(b: Builder, x: Tensor, weights: Tensor, bias: Tensor | None, axes: Sequence[WindowAxis]) -> Tensor:
    """A transposed convolution: TFLite's own padding where it is the same, else the whole result, cut."""
    rank = len(x.order)
    rows, columns = axes if len(axes) == 2 else (POINT, axes[0])
    order = (1, *range(2, rank), 0)
    kernel = b.tensor(b.ordered(weights, order).index)
    if rank == 3:
        shape = b.value(kernel).type.shape
        kernel = b.reshape(kernel, (shape[0], 1, *shape[1:]))
    channels = b.value(kernel).type.shape[0]
    stored = image(b, x)
    batch = b.value(stored).type.shape[0]
    sizes = [_full(axis) - sum(axis.pads) for axis in (rows, columns)]
    inputs = [stored.index, kernel.index, *([] if bias is None else [b.plain(bias).index])]
    padding = next((p for p in (Padding.SAME, Padding.VALID) if all(_fits(a, p, b) for a in (rows, columns))), None)
    wanted = sizes if padding is not None else [_full(axis) for axis in (rows, columns)]
    op = TransposeConv(Activation.NONE, rows.stride, columns.stride, padding or Padding.VALID)
    (made,) = b.emit(op, inputs, shape=(batch, *wanted, channels))
    cut = b.tensor(made)
    if padding is None:
        box = [(0, batch, 1), (rows.pads[0], sizes[0], 1), (columns.pads[0], sizes[1], 1), (0, channels, 1)]
        cut = take_box(b, cut, box)
    return from_image(b, cut, rank)


def _full(axis: WindowAxis) -> int:
    """Elements of the whole result along an axis, before pads are cut off."""
    return (axis.input - 1) * axis.stride + axis.reach + axis.ceiling


def _fits(axis: WindowAxis, padding: Padding, builder: Builder) -> bool:
    size = _full(axis) - sum(axis.pads)
    windows = transposed_axis(axis.input, size, axis.reach, axis.stride, padding, builder.source)
    steps = size + axis.stride - (1 if padding is Padding.SAME else axis.reach)
    return windows.pad == axis.pads[0] and steps // axis.stride == axis.input


DECODERS: dict[str, Decoder] = {"Conv": _conv, "ConvTranspose": _conv_transpose}
