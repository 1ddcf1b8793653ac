"""Random layers of the shapes that specialised kernels take, and of those that they must leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from tests.ops.draws import activation_code, bias_for, output_scale, same_or_valid, scale, weights, zero_point
from tests.tflite_builder import ModelBuilder
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Value
from thimble.compiler.ir.types import DType, QuantParams
from thimble.quantize.narrow import narrow, narrow_weights

Rng = np.random.Generator
Edges = tuple[int, Callable[[int, int, int, int], int]]
"""A padding code and the size that it gives, as of same_or_valid."""


def _size(rng: Rng, kernel: int, most: int = 14) -> int:
    return int(rng.integers(kernel, max(kernel + 1, most)))


def _scaled_output(rng: Rng, x_scale: float, w_scales: np.ndarray, taps: int) -> float:
    """Mostly scales that use all of int8; some far too large, so that all last shifts occur."""
    spread = output_scale(rng, x_scale, w_scales, taps)
    return spread * float(np.float32(10 ** rng.uniform(0, 3))) if rng.random() < 0.15 else spread


def conv_2d(rng: Rng) -> bytes:
    """Convolution: pointwise, dense, with 1 or 3 input channels, of any stride, padding and number of channels."""
    m = ModelBuilder()
    x, y, _ = _convolution(m, rng)
    m.interface([x], [y])
    return m.build()


def conv_2d_add(rng: Rng) -> bytes:
    """The same, and ADD or SUB of its output and another tensor."""
    m = ModelBuilder()
    x, between, shape = _convolution(m, rng)
    other = m.tensor(shape, np.int8, m.scale_of(between) * float(np.float32(10 ** rng.uniform(-1, 1))), zero_point(rng))
    operands = [between, other] if rng.random() < 0.5 else [other, between]
    larger = max(m.scale_of(between), m.scale_of(other))
    y = m.tensor(shape, np.int8, larger * float(np.float32(10 ** rng.uniform(-0.3, 0.7))), zero_point(rng))
    operator = str(rng.choice(["ADD", "ADD", "SUB"]))
    options = {"ADD": "AddOptions", "SUB": "SubOptions"}[operator]
    m.op(operator, operands, [y], options, fusedActivationFunction=activation_code(rng))
    m.interface([x, other], [y])
    return m.build()


def _convolution(m: ModelBuilder, rng: Rng) -> tuple[int, int, tuple[int, ...]]:
    """Input and output of a convolution that is drawn into a model, and the output's shape."""
    kernel_h, kernel_w = (1, 1) if rng.random() < 0.4 else (int(k) for k in rng.integers(1, 6, 2))
    depth = int(rng.choice([1, 3, 4, 8, 16, 32, int(rng.integers(1, 40))]))
    channels = int(rng.choice([2, 8, 16, int(rng.integers(1, 24))]))
    stride_h, stride_w = (int(s) for s in rng.integers(1, 3, 2))
    dilation = int(rng.choice([1, 1, 1, 2]))
    height = _size(rng, (kernel_h - 1) * dilation + 1)
    width = _size(rng, (kernel_w - 1) * dilation + 1)
    padding, out_size = same_or_valid(rng)
    batch = int(rng.choice([1, 1, 2]))
    x = m.tensor((batch, height, width, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, kernel_h, kernel_w, depth), axis=0)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y_scale = _scaled_output(rng, m.scale_of(x), w_scales, kernel_h * kernel_w * depth)
    shape = (batch, out_size(height, kernel_h, stride_h, dilation), out_size(width, kernel_w, stride_w, dilation))
    y = m.tensor((*shape, channels), np.int8, y_scale, zero_point(rng))
    m.op(
        "CONV_2D", [x, w, b], [y], "Conv2DOptions", strideH=stride_h, strideW=stride_w, padding=padding,
        dilationHFactor=dilation, dilationWFactor=dilation, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    return x, y, (*shape, channels)


def first_conv_2d(rng: Rng) -> bytes:
    """Convolution of one image with 1 to 3 channels, as first layers are: rows of windows fill words badly."""
    kernel_h, kernel_w = (int(k) for k in rng.integers(2, 6, 2))
    depth, channels = int(rng.choice([1, 2, 3, 3])), int(rng.choice([2, 8, 16, int(rng.integers(2, 24))]))
    stride_h, stride_w = (int(s) for s in rng.integers(1, 3, 2))
    dilation_h = int(rng.choice([1, 1, 1, 2]))
    height, width = _size(rng, (kernel_h - 1) * dilation_h + 1, 20), _size(rng, kernel_w, 24)
    padding, out_size = same_or_valid(rng)
    m = ModelBuilder()
    x = m.tensor((1, height, width, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, kernel_h, kernel_w, depth), axis=0)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y_scale = _scaled_output(rng, m.scale_of(x), w_scales, kernel_h * kernel_w * depth)
    shape = (1, out_size(height, kernel_h, stride_h, dilation_h), out_size(width, kernel_w, stride_w, 1), channels)
    y = m.tensor(shape, np.int8, y_scale, zero_point(rng))
    m.op(
        "CONV_2D", [x, w, b], [y], "Conv2DOptions", strideH=stride_h, strideW=stride_w, padding=padding,
        dilationHFactor=dilation_h, dilationWFactor=1, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def pointwise(rng: Rng) -> bytes:
    """Pointwise layer of many pixels and channels, which a compact kernel makes in several portions."""
    depth, channels = int(rng.integers(64, 112)), int(rng.integers(2, 12))
    height, width = (int(n) for n in rng.integers(9, 20, 2))
    m = ModelBuilder()
    x = m.tensor((1, height, width, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, 1, 1, depth), axis=0)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y_scale = _scaled_output(rng, m.scale_of(x), w_scales, depth)
    y = m.tensor((1, height, width, channels), np.int8, y_scale, zero_point(rng))
    m.op(
        "CONV_2D", [x, w, b], [y], "Conv2DOptions", strideH=1, strideW=1, padding=1,
        dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def conv_2d_3x3(rng: Rng) -> bytes:
    """Dense 3x3 convolution of stride 1, mostly without output limits inside int8: what Winograd's tiles take."""
    depth = 4 * int(rng.choice([1, 2, 4, 8, 16, int(rng.integers(1, 20))]))
    channels = int(rng.choice([2, 8, 16, int(rng.integers(2, 24))]))
    height, width = _size(rng, 3, 20), _size(rng, 6, 24)
    padding, out_size = same_or_valid(rng)
    batch = int(rng.choice([1, 1, 2]))
    m = ModelBuilder()
    x = m.tensor((batch, height, width, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, 3, 3, depth), axis=0)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y_scale = _scaled_output(rng, m.scale_of(x), w_scales, 9 * depth)
    shape = (batch, out_size(height, 3, 1, 1), out_size(width, 3, 1, 1), channels)
    relu = bool(rng.random() < 0.5)
    y = m.tensor(shape, np.int8, y_scale, -128 if relu else zero_point(rng))
    m.op(
        "CONV_2D", [x, w, b], [y], "Conv2DOptions", strideH=1, strideW=1, padding=padding,
        dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=int(relu),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def depthwise_conv_2d(rng: Rng) -> bytes:
    """Depthwise convolution of kernels up to 7 x 7, mostly 3 x 3 and 5 x 5."""
    kernel_h, kernel_w = _kernel(rng)
    channels = int(rng.choice([1, 2, 4, 8, 16, int(rng.integers(1, 40))]))
    stride = int(rng.integers(1, 3))
    height, width = _size(rng, kernel_h, 16), _size(rng, kernel_w, 20)
    if rng.random() < 0.2:  # steps in time
        kernel_h, kernel_w, width = int(rng.integers(1, 20)), 1, 1
        height = _size(rng, kernel_h, 30)
    return _depthwise(rng, (kernel_h, kernel_w), (height, width), stride, channels)


def depthwise_3x3(rng: Rng) -> bytes:
    """Depthwise 3 x 3 convolution of rows of all lengths, few channels or many."""
    channels = int(rng.choice([1, 2, 7, 8, 64, int(rng.integers(1, 300))]))
    width = int(rng.choice([3, 4, 5, 6, 7, 8, int(rng.integers(3, 40))]))
    return _depthwise(rng, (3, 3), (_size(rng, 3, 16), width), int(rng.integers(1, 3)), channels)


def depthwise_steps(rng: Rng) -> bytes:
    """Depthwise convolution over steps in time."""
    taps = int(rng.integers(2, 17))
    return _depthwise(rng, (taps, 1), (_size(rng, taps, 30), 1), int(rng.integers(1, 3)), 4 * int(rng.integers(1, 12)))


def _depthwise(rng: Rng, kernel: tuple[int, int], size: tuple[int, int], stride: int, channels: int) -> bytes:
    """A depthwise convolution of a kernel and an input of these heights and widths."""
    (height, width), edge = size, same_or_valid(rng)
    batch = int(rng.choice([1, 1, 2]))
    m = ModelBuilder()
    x = m.tensor((batch, height, width, channels), np.int8, scale(rng), zero_point(rng))
    y = _depthwise_of(m, rng, x, (batch, height, width, channels), kernel, stride, edge)
    m.interface([x], [y])
    return m.build()


def _depthwise_of(
    m: ModelBuilder,
    rng: Rng,
    x: int,
    shape: tuple[int, int, int, int],
    kernel: tuple[int, int],
    stride: int,
    edge: Edges,
) -> int:
    """The output of a depthwise convolution of a tensor of this shape, which is drawn into a model."""
    (batch, height, width, channels), (kernel_h, kernel_w), (padding, out_size) = shape, kernel, edge
    w, w_scales = weights(m, rng, (1, kernel_h, kernel_w, channels), axis=3)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y_scale = _scaled_output(rng, m.scale_of(x), w_scales, kernel_h * kernel_w)
    made = (batch, out_size(height, kernel_h, stride, 1), out_size(width, kernel_w, stride, 1), channels)
    y = m.tensor(made, np.int8, y_scale, zero_point(rng))
    m.op(
        "DEPTHWISE_CONV_2D", [x, w, b], [y], "DepthwiseConv2DOptions", strideH=stride, strideW=stride,
        padding=padding, depthMultiplier=1, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    return y


def _kernel(rng: Rng) -> tuple[int, int]:
    square = int(rng.choice([3, 3, 5, 7, 0]))
    if square:
        return square, square
    if rng.random() < 0.3:  # long ones of one row or column
        taps = int(rng.integers(8, 16))
        return (1, taps) if rng.random() < 0.5 else (taps, 1)
    return int(rng.integers(1, 8)), int(rng.integers(1, 8))


def conv_2d_depthwise(rng: Rng) -> bytes:
    """A pointwise convolution, or one of an image with few channels, and a depthwise one that reads it.

    Mostly of even sizes, so that what lies between is made of whole groups of pixels.
    """
    m = ModelBuilder()
    depth, channels = (int(rng.choice([1, 2, 3, 4, 8, 16, int(rng.integers(1, 40))])) for _ in range(2))
    kernel, stride, padding = (1, 1), 1, 0
    if rng.random() < 0.4:
        depth, stride, padding = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(2))
        kernel = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    wanted_h, wanted_w = _kernel(rng)
    height, width = _even_size(rng, wanted_h, 16), _even_size(rng, wanted_w, 20)
    sizes = height, width
    taken = [size * stride if padding == 0 else (size - 1) * stride + k for size, k in zip(sizes, kernel, strict=True)]
    batch = int(rng.choice([1, 1, 1, 2]))
    x = m.tensor((batch, *taken, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, *kernel, depth), axis=0)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y_scale = _scaled_output(rng, m.scale_of(x), w_scales, kernel[0] * kernel[1] * depth)
    y = m.tensor((batch, height, width, channels), np.int8, y_scale, zero_point(rng))
    m.op(
        "CONV_2D", [x, w, b], [y], "Conv2DOptions", strideH=stride, strideW=stride, padding=padding,
        dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    stride = int(rng.integers(1, 3))
    shape = batch, height, width, channels
    z = _depthwise_of(m, rng, y, shape, (wanted_h, wanted_w), stride, same_or_valid(rng))
    m.interface([x], [z])
    return m.build()


def _even_size(rng: Rng, kernel: int, most: int) -> int:
    """Mostly even, often a multiple of four."""
    size = _size(rng, kernel, most)
    return -(-size // (unit := int(rng.choice([1, 2, 2, 4, 4])))) * unit


def fully_connected(rng: Rng) -> bytes:
    """Matrix product of a few rows, with weights of one scale or one for each output."""
    depth = int(rng.choice([int(rng.integers(1, 40)), 4 * int(rng.integers(1, 60))]))
    channels, rows = int(rng.choice([8, 16, int(rng.integers(1, 70))])), int(rng.choice([1, 1, 3]))
    m = ModelBuilder()
    x = m.tensor((rows, depth), np.int8, scale(rng), zero_point(rng))
    w, w_scales = weights(m, rng, (channels, depth), axis=0, per_axis=bool(rng.random() < 0.3))
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y = m.tensor((rows, channels), np.int8, _scaled_output(rng, m.scale_of(x), w_scales, depth), zero_point(rng))
    m.op("FULLY_CONNECTED", [x, w, b], [y], "FullyConnectedOptions", fusedActivationFunction=activation_code(rng))
    m.interface([x], [y])
    return m.build()


def add(rng: Rng) -> bytes:
    """ADD or SUB of two tensors of one shape, of any scales."""
    shape = tuple(int(n) for n in rng.integers(1, 8, int(rng.integers(1, 5))))
    m = ModelBuilder()
    x_scale = scale(rng)
    y_scale = x_scale * float(np.float32(10 ** rng.uniform(-1, 1)))
    z_scale = max(x_scale, y_scale) * float(np.float32(10 ** rng.uniform(-0.3, 0.7)))
    x = m.tensor(shape, np.int8, x_scale, zero_point(rng))
    y = m.tensor(shape, np.int8, y_scale, zero_point(rng))
    z = m.tensor(shape, np.int8, z_scale, zero_point(rng))
    operator = str(rng.choice(["ADD", "ADD", "SUB"]))
    options = {"ADD": "AddOptions", "SUB": "SubOptions"}[operator]
    m.op(operator, [x, y], [z], options, fusedActivationFunction=activation_code(rng))
    m.interface([x, y], [z])
    return m.build()


def pool_2d(operator: str, rng: Rng) -> bytes:
    """Pools of any window and stride; one in three over all of an image, whose row form adds up rows."""
    padding, out_size = same_or_valid(rng)
    height, width = (int(n) for n in rng.integers(1, 12, 2))
    kernel = (height, width) if rng.random() < 0.3 else tuple(int(n) for n in rng.integers(1, (height + 1, width + 1)))
    strides = tuple(int(n) for n in rng.integers(1, 4, 2))
    batch = 1 if kernel == (height, width) else int(rng.choice([1, 1, 2]))
    channels = int(rng.choice([4, 8, int(rng.integers(1, 30))]))
    m, zero = ModelBuilder(), zero_point(rng)
    x = m.tensor((batch, height, width, channels), np.int8, scale(rng), zero)
    out = (out_size(size, k, s, 1) for size, k, s in zip((height, width), kernel, strides, strict=True))
    y = m.tensor((batch, *out, channels), np.int8, m.scale_of(x), zero)
    m.op(
        operator, [x], [y], "Pool2DOptions", filterHeight=kernel[0], filterWidth=kernel[1],
        strideH=strides[0], strideW=strides[1], padding=padding, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def mean(rng: Rng) -> bytes:
    """The mean over all of an image; its row form adds up rows."""
    height, width, channels = int(rng.integers(2, 12)), int(rng.integers(1, 30)), int(rng.integers(1, 40))
    m = ModelBuilder()
    x = m.tensor((1, height, width, channels), np.int8, scale(rng), zero_point(rng))
    y = m.tensor((1, channels), np.int8, m.scale_of(x) * 10 ** rng.uniform(-1, 1), zero_point(rng))
    m.op("MEAN", [x, m.const([1, 2])], [y], "ReducerOptions", keepDims=False)
    m.interface([x], [y])
    return m.build()


def batch_matmul(rng: Rng) -> bytes:
    """Products of a few matrices, either of them stored the other way round, broadcast or constant."""
    rows, columns = (int(n) for n in rng.integers(1, 24, 2))
    depth = int(rng.choice([int(rng.integers(1, 20)), 4 * int(rng.integers(1, 30))]))
    batches = tuple(int(n) for n in rng.integers(1, 3, int(rng.integers(0, 4))))
    adjoint_x, adjoint_y = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    m = ModelBuilder()

    held = bool(rng.random() < 0.2)

    def operand(own: tuple[int, ...], shape: tuple[int, int], adjoint: bool, held: bool) -> int:
        stored = (*own, *(shape[::-1] if adjoint else shape))
        data = rng.integers(-128, 128, stored) if held else None
        return m.tensor(stored, np.int8, scale(rng), zero_point(rng), data=data)

    own_x, own_y = (tuple(1 if rng.random() < 0.2 else n for n in batches) for _ in range(2))
    x = operand(own_x, (rows, depth), adjoint_x, held=False)
    y = operand(own_y, (depth, columns), adjoint_y, held)
    shape = (*np.broadcast_shapes(own_x, own_y), rows, columns)
    z_scale = _scaled_output(rng, m.scale_of(x), np.array([m.scale_of(y)]), depth)
    z = m.tensor(shape, np.int8, z_scale, zero_point(rng))
    m.op("BATCH_MATMUL", [x, y], [z], "BatchMatMulOptions", adjX=adjoint_x, adjY=adjoint_y)
    m.interface([x] if held else [x, y], [z])
    return m.build()


def quantize(rng: Rng) -> bytes:
    """Floats to int8, of any scale."""
    shape = tuple(int(n) for n in rng.integers(1, 8, int(rng.integers(1, 5))))
    m = ModelBuilder()
    x = m.tensor(shape, np.float32)
    y = m.tensor(shape, np.int8, float(np.float32(10 ** rng.uniform(-6, 4))), zero_point(rng))
    m.op("QUANTIZE", [x], [y], "QuantizeOptions")
    m.interface([x], [y])
    return m.build()


def narrow_conv_2d(rng: Rng) -> bytes:
    """Pointwise and dense convolutions, with weights of 4 or 2 bits."""
    return with_narrow_weights(conv_2d_3x3 if rng.random() < 0.3 else conv_2d)(rng)


def with_narrow_weights(draw: Callable[[Rng], bytes]) -> Callable[[Rng], bytes]:
    """A layer of int8 activations with weights of 4 or 2 bits."""

    def drawn(rng: Rng) -> bytes:
        graph = import_tflite(draw(rng), "int8")
        weights = narrow_weights(graph.sites[0], (DType.INT4, DType.INT2)[int(rng.integers(2))])
        return export_tflite(narrow(graph, {0: weights}, {}).graph)

    return drawn


_WIDTHS = (DType.INT8, DType.INT4, DType.INT2)


def packed(
    draw: Callable[[Rng], bytes], narrow_weights_too: bool = False, alike: bool = False
) -> Callable[[Rng], bytes]:
    """A layer whose input, output or both have 4 or 2 bits, straight at the model's interface.

    `alike`: both have the same type, scale and zero point, as a pool's.
    """

    def drawn(rng: Rng) -> bytes:
        graph = import_tflite(draw(rng), "int8")
        if narrow_weights_too and rng.random() < 0.5:
            weights = narrow_weights(graph.sites[0], (DType.INT4, DType.INT2)[int(rng.integers(2))])
            graph = narrow(graph, {0: weights}, {}).graph
        ends = (*graph.inputs, *graph.outputs)
        packed = [types for types in product(_WIDTHS, repeat=len(ends)) if set(types) != {DType.INT8}]
        packed = [types for types in packed if not alike or len(set(types)) == 1]
        chosen = packed[int(rng.integers(len(packed)))]
        values = list(graph.values)
        for index, dtype in zip(ends, chosen, strict=True):
            quant = narrower(values[index].quant, dtype, rng) if dtype.is_packed else values[index].quant
            quant = values[ends[0]].type.quant if alike and index != ends[0] else quant
            values[index] = replace(values[index], type=replace(values[index].type, dtype=dtype, quant=quant))
        (node,) = graph.nodes
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None:
            values[bias] = _at_scale(values[bias], values[graph.inputs[0]], values[node.inputs[1] or 0])
        return export_tflite(replace(graph, values=tuple(values)))

    return drawn


def _at_scale(bias: Value, x: Value, w: Value) -> Value:
    """A bias at the scale of the input times that of the weights."""
    scales = tuple(float(np.float32(x.type.quant.scale) * np.float32(scale)) for scale in w.type.quant.scales)
    return replace(bias, type=replace(bias.type, quant=QuantParams(scales, (0,) * len(scales))))


def narrower(quant: QuantParams, dtype: DType, rng: Rng) -> QuantParams:
    """About the same range on fewer levels."""
    low, high = dtype.range
    scale = np.float32(quant.scale * 256 / (high - low + 1) * rng.uniform(0.5, 1))
    return QuantParams((float(scale),), (int(rng.integers(low, high + 1)),))


DRAWS: dict[str, Callable[[Rng], bytes]] = {
    "add": add,
    "average_pool_2d": partial(pool_2d, "AVERAGE_POOL_2D"),
    "batch_matmul": batch_matmul,
    "conv_2d": conv_2d,
    "conv_2d_add": conv_2d_add,
    "conv_2d_depthwise": conv_2d_depthwise,
    "first_conv_2d": first_conv_2d,
    "conv_2d_3x3": conv_2d_3x3,
    "depthwise_3x3": depthwise_3x3,
    "depthwise_conv_2d": depthwise_conv_2d,
    "depthwise_steps": depthwise_steps,
    "fully_connected": fully_connected,
    "max_pool_2d": partial(pool_2d, "MAX_POOL_2D"),
    "mean": mean,
    "quantize": quantize,
    "narrow_conv_2d": narrow_conv_2d,
    "narrow_fully_connected": with_narrow_weights(fully_connected),
    "narrow_depthwise_conv_2d": with_narrow_weights(depthwise_conv_2d),
    "packed_add": packed(add),
    "packed_average_pool_2d": packed(partial(pool_2d, "AVERAGE_POOL_2D"), alike=True),
    "packed_max_pool_2d": packed(partial(pool_2d, "MAX_POOL_2D"), alike=True),
    "packed_mean": packed(mean),
    "packed_fully_connected": packed(fully_connected, narrow_weights_too=True),
    "packed_pointwise": packed(pointwise, narrow_weights_too=True),
    "packed_conv_2d": packed(conv_2d, narrow_weights_too=True),
    "packed_depthwise_conv_2d": packed(depthwise_conv_2d, narrow_weights_too=True),
}
"""By the operator whose kernels are specialised."""
