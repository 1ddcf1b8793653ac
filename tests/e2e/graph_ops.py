"""What a random graph can grow by: one function an operator or a family of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from tests.e2e.graph_draw import Choices, Drawn, GraphDraw, NotPossible

QUANTIZED = (np.int8, np.int16)
ANY = (np.int8, np.int16, np.float32)
ACTIVATIONS = (0, 1, 3, 2)  # NONE, RELU, RELU6, RELU_N1_TO_1 in schema.fbs


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window over height and width, with its output size."""

    kernel: tuple[int, int]
    output: tuple[int, int]
    options: dict[str, int]

    @property
    def taps(self) -> int:
        """Elements of the window."""
        return prod(self.kernel)


def draw_window(c: Choices, x: Drawn, dilated: bool = True) -> Window:
    """A window that fits on `x` (N, H, W, C), with strides up to 3 and both paddings."""
    padding = c.pick([0, 1])
    kernels, strides, dilations, outputs = [], [], [], []
    for size in x.shape[1:3]:
        kernel, stride = c.integer(1, min(size, 4)), c.pick([1, 1, 2, 3])
        dilation = 2 if dilated and (kernel - 1) * 2 + 1 <= size and c.flag(4) else 1
        reach = (kernel - 1) * dilation + 1
        outputs.append(-(-size // stride) if padding == 0 else (size - reach) // stride + 1)
        kernels.append(kernel)
        strides.append(stride)
        dilations.append(dilation)
    options = {"strideH": strides[0], "strideW": strides[1], "padding": padding}
    if dilated:
        options |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    return Window((kernels[0], kernels[1]), (outputs[0], outputs[1]), options)


def weighted(
    g: GraphDraw, x: Drawn, y: Drawn, shape: Sequence[int], axis: int, taps: int, per_axis: bool = True
) -> list[int]:
    """Constant int8 weights, and usually a bias, scaled so that sums of `taps` products span about the output."""
    c = g.c
    high = 127 if x.dtype is np.int8 else 32767
    middle = y.scale * (127 if y.dtype is np.int8 else 32767) / (x.scale * high * 0.58 * 73 * sqrt(taps))
    count = shape[axis] if per_axis and c.flag() else 1
    scales = np.float32([middle * c.real(0.3, 1.5) for _ in range(count)])
    w = g.m.tensor(shape, np.int8, scales, 0, axis=axis, data=c.data(shape, np.int8, -127))
    if c.flag(4):
        return [w]
    products = np.float32(x.scale) * scales
    reach = (y.scale * 40 / products).astype(np.int64) if x.dtype is np.int8 else np.int64([10000])
    rng = np.random.default_rng(c.integer(0, 255))
    data = np.rint(rng.uniform(-1, 1, shape[axis]) * reach)
    dtype = np.int32 if x.dtype is np.int8 else np.int64
    return [w, g.m.tensor((shape[axis],), dtype, products, 0, data=np.clip(data, -(1 << 30), 1 << 30))]


def conv_2d(g: GraphDraw) -> None:
    """CONV_2D, dense or grouped."""
    x = g.take(ranks=(4,), dtypes=QUANTIZED)
    window, channels = draw_window(g.c, x), g.c.integer(1, 8)
    groups = g.c.pick([n for n in (1, 2, 3) if x.shape[3] % n == 0 and channels % n == 0])
    y = g.value((x.shape[0], *window.output, channels), x.dtype)
    depth = x.shape[3] // groups
    operands = weighted(g, x, y, (channels, *window.kernel, depth), 0, window.taps * depth)
    act = g.c.pick(ACTIVATIONS)
    g.op("CONV_2D", [x, *operands], [y], "Conv2DOptions", **window.options, fusedActivationFunction=act)


def depthwise_conv_2d(g: GraphDraw) -> None:
    """DEPTHWISE_CONV_2D with a multiplier of 1 to 3."""
    x = g.take(ranks=(4,), dtypes=QUANTIZED)
    window, multiplier = draw_window(g.c, x), g.c.pick([1, 1, 2, 3])
    channels = x.shape[3] * multiplier
    y = g.value((x.shape[0], *window.output, channels), x.dtype)
    operands = weighted(g, x, y, (1, *window.kernel, channels), 3, window.taps)
    g.op(
        "DEPTHWISE_CONV_2D", [x, *operands], [y], "DepthwiseConv2DOptions", **window.options,
        depthMultiplier=multiplier, fusedActivationFunction=g.c.pick(ACTIVATIONS),
    )  # fmt: skip


def transpose_conv(g: GraphDraw) -> None:
    """TRANSPOSE_CONV with SAME padding."""
    x = g.take(ranks=(4,), where=lambda v: v.elements <= 400)
    stride, kernel, channels = g.c.integer(1, 2), g.c.integer(1, 3), g.c.integer(1, 4)
    shape = (x.shape[0], x.shape[1] * stride, x.shape[2] * stride, channels)
    y = g.value(shape)
    operands = weighted(g, x, y, (channels, kernel, kernel, x.shape[3]), 0, kernel * kernel * x.shape[3])
    g.op(
        "TRANSPOSE_CONV", [g.m.const(shape), operands[0], x, *operands[1:]], [y], "TransposeConvOptions",
        padding=0, strideH=stride, strideW=stride,
    )  # fmt: skip


def fully_connected(g: GraphDraw) -> None:
    """FULLY_CONNECTED over the last dimension, or over all but the first."""
    x = g.take(dtypes=QUANTIZED)
    depth, channels = x.shape[-1], g.c.integer(1, 12)
    if x.rank > 1 and x.elements // x.shape[0] <= 200 and g.c.flag():
        depth = x.elements // x.shape[0]
    keep = depth == x.shape[-1] and x.rank > 1 and g.c.flag()
    y = g.value((*x.shape[:-1], channels) if keep else (x.elements // depth, channels), x.dtype)
    operands = weighted(g, x, y, (channels, depth), 0, depth, per_axis=False)
    act = g.c.pick(ACTIVATIONS)
    g.op(
        "FULLY_CONNECTED", [x, *operands, *[-1] * (2 - len(operands))], [y], "FullyConnectedOptions",
        keepNumDims=keep, fusedActivationFunction=act,
    )  # fmt: skip


def batch_matmul(g: GraphDraw) -> None:
    """BATCH_MATMUL of a value with itself, transposed, or with a constant."""
    x = g.take(ranks=(2, 3, 4), where=lambda v: v.elements <= 600)
    if g.c.flag():
        shape, other, adjoint = (*x.shape[:-1], x.shape[-2]), x, True
    else:
        columns = g.c.integer(1, 6)
        shape, adjoint = (*x.shape[:-1], columns), False
        other = g.constant((*x.shape[:-2], x.shape[-1], columns), np.int8)
    y = g.value(shape, np.int8, x.scale * other.scale * 74 * 73 * sqrt(x.shape[-1]) / 127)
    g.op("BATCH_MATMUL", [x, other], [y], "BatchMatMulOptions", adjX=False, adjY=adjoint)


def pool(g: GraphDraw) -> None:
    """AVERAGE_POOL_2D or MAX_POOL_2D."""
    x = g.take(ranks=(4,), dtypes=QUANTIZED)
    window = draw_window(g.c, x, dilated=False)
    y = g.like(x, (x.shape[0], *window.output, x.shape[3]))
    g.op(
        g.c.pick(["AVERAGE_POOL_2D", "MAX_POOL_2D"]), [x], [y], "Pool2DOptions", **window.options,
        filterHeight=window.kernel[0], filterWidth=window.kernel[1], fusedActivationFunction=g.c.pick(ACTIVATIONS),
    )  # fmt: skip


BINARY: tuple[tuple[str, str | None, bool, Callable[[float, float], float]], ...] = (
    ("ADD", "AddOptions", True, max),
    ("SUB", "SubOptions", True, max),
    ("MUL", "MulOptions", True, lambda a, b: min(max(a * b * 60, 1e-4), 10)),
    ("MINIMUM", None, False, max),
    ("MAXIMUM", None, False, max),
    ("SQUARED_DIFFERENCE", None, False, lambda a, b: min(max(a * b * 90, 1e-4), 10)),
)
"""Code, options, whether it has a fused activation, and about the output's scale."""


def broadcasts(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two shapes stretch to each other."""
    return all(x == y or 1 in (x, y) for x, y in zip(reversed(a), reversed(b), strict=False))


def operands(g: GraphDraw) -> tuple[Drawn, Drawn]:
    """Two int8 operands that broadcast: another value, the same one, or a constant; in any order."""
    c = g.c
    x = g.take()
    kind = c.integer(0, 3)
    if kind == 3:
        other = g.constant([1 if c.flag(3) else d for d in x.shape][c.integer(0, x.rank - 1) :], np.int8)
    else:
        other = g.take(where=lambda v: broadcasts(v.shape, x.shape) and (kind == 2 or v is not x))
    return (other, x) if c.flag() else (x, other)


def binary(g: GraphDraw) -> None:
    """An element-wise operator of two inputs."""
    code, options, fused, rule = g.c.pick(BINARY)
    a, b = operands(g)
    y = g.value(np.broadcast_shapes(a.shape, b.shape), np.int8, rule(a.scale, b.scale) * g.c.real(0.5, 2))
    fields = {"fusedActivationFunction": g.c.pick(ACTIVATIONS)} if fused else {}
    g.op(code, [a, b], [y], options, **fields)


def binary_int16(g: GraphDraw) -> None:
    """ADD, SUB or MUL of an int16 value and itself or another of its shape."""
    x = g.take(dtypes=(np.int16,))
    other = g.take(where=lambda v: v.shape == x.shape, dtypes=(np.int16,))
    code, options = g.c.pick([("ADD", "AddOptions"), ("SUB", "SubOptions"), ("MUL", "MulOptions")])
    rule = x.scale * other.scale * 20000 if code == "MUL" else max(x.scale, other.scale)
    y = g.value(x.shape, np.int16, min(max(rule, 1e-6), 0.1))
    g.op(code, [x, other], [y], options)


def compare(g: GraphDraw) -> None:
    """A comparison, of scales below 1; no operator takes its bool output, but the graph's outputs may."""
    a, b = operands(g)
    if max(a.scale, b.scale) >= 1:
        raise NotPossible
    code = g.c.pick(["EQUAL", "GREATER", "LESS_EQUAL"])
    y = g.plain(np.broadcast_shapes(a.shape, b.shape), np.bool_)
    g.op(code, [a, b], [y], "".join(word.capitalize() for word in code.split("_")) + "Options")


def residual(g: GraphDraw) -> None:
    """A branch of two operators that is added to where it began."""
    x = g.take(ranks=(4,))
    y = g.value(x.shape, x.dtype)
    weights = weighted(g, x, y, (x.shape[3], 1, 1, x.shape[3]), 0, x.shape[3])
    g.op("CONV_2D", [x, *weights], [y], "Conv2DOptions", padding=0, strideH=1, strideW=1, fusedActivationFunction=1)
    total = g.value(x.shape, np.int8, max(x.scale, y.scale) * 1.5)
    g.op("ADD", [x, y], [total], "AddOptions")


UNARY: tuple[tuple[str, str | None, tuple[float, int] | str], ...] = (
    ("RELU", None, "any"),
    ("LOGISTIC", None, (1 / 256, -128)),
    ("TANH", None, (1 / 128, 0)),
    ("RELU6", None, "same"),
    ("LEAKY_RELU", "LeakyReluOptions", "any"),
    ("HARD_SWISH", "HardSwishOptions", "any"),
    ("ABS", "AbsOptions", "any"),
    ("ELU", None, "any"),
    ("QUANTIZE", None, "any"),
)
"""Code, options, and the output's quantization: one that is prescribed, the input's, or any."""


def unary(g: GraphDraw) -> None:
    """An element-wise operator of one int8 input."""
    x = g.take(ranks=(0, 1, 2, 3, 4, 5))
    code, options, quant = g.c.pick(UNARY)
    if quant == "same":
        y = g.like(x, x.shape)
    elif quant == "any":
        y = g.value(x.shape, np.int8, x.scale * g.c.real(0.3, 3))
    else:
        y = g.value(x.shape, np.int8, *quant)
    fields = {"alpha": g.c.pick([0.1, 0.0, 1.5, -0.25])} if code == "LEAKY_RELU" else {}
    g.op(code, [x], [y], options, **fields)


def unary_int16(g: GraphDraw) -> None:
    """LOGISTIC or TANH on int16."""
    x = g.take(dtypes=(np.int16,))
    y = g.value(x.shape, np.int16, 1 / 32768)
    g.op(g.c.pick(["LOGISTIC", "TANH"]), [x], [y])


def softmax(g: GraphDraw) -> None:
    """SOFTMAX over the last dimension; TFLite Micro stops where the sum of exponentials reaches 512."""
    x = g.take(ranks=(1, 2, 3, 4), where=lambda v: v.shape[-1] < 512)
    y = g.value(x.shape, np.int8, 1 / 256, -128)
    g.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=1.0)


def prelu(g: GraphDraw) -> None:
    """PRELU with one slope a channel."""
    x = g.take(ranks=(1, 2, 3, 4))
    slopes = g.constant(x.shape[-1:], np.int8, 0.008)
    y = g.value(x.shape, np.int8, x.scale * g.c.real(0.5, 2))
    g.op("PRELU", [x, slopes], [y])


def convert(g: GraphDraw) -> None:
    """QUANTIZE between int8 and int16, or from float; DEQUANTIZE to float."""
    x = g.take(dtypes=ANY)
    if x.dtype is np.float32:
        g.op("QUANTIZE", [x], [g.value(x.shape, g.c.pick(QUANTIZED))], None)
    elif g.c.flag(3):
        g.op("DEQUANTIZE", [x], [g.float_value(x.shape)])
    elif x.dtype is np.int8:
        g.op("QUANTIZE", [x], [g.value(x.shape, np.int16, x.scale * g.c.real(0.3, 3) / 256)])
    else:
        g.op("QUANTIZE", [x], [g.value(x.shape, np.int8, x.scale * g.c.real(0.3, 3) * 256)])


def reduce(g: GraphDraw) -> None:
    """MEAN, SUM or REDUCE_MAX over some axes."""
    c = g.c
    x = g.take(ranks=(2, 3, 4))
    code = c.pick(["MEAN", "SUM", "REDUCE_MAX"])
    axes = c.pick([[x.rank - 1], [0], *([[1, 2], [-2, -3]] if x.rank == 4 else [])])
    keep = c.flag()
    gone = {axis % x.rank for axis in axes}
    shape = tuple(1 if i in gone else d for i, d in enumerate(x.shape) if keep or i not in gone)
    growth = sqrt(x.elements / prod(shape)) if code == "SUM" else 1.0
    y = g.like(x, shape) if code == "REDUCE_MAX" else g.value(shape, np.int8, x.scale * growth * c.real(0.5, 1.5))
    g.op(code, [x, g.m.const(axes)], [y], "ReducerOptions", keepDims=keep)


def arg_max(g: GraphDraw) -> None:
    """ARG_MAX or ARG_MIN; no operator takes its int32 output, but the graph's outputs may."""
    x = g.take(ranks=(1, 2, 3, 4))
    axis = g.c.integer(0, x.rank - 1)
    y = g.plain([d for i, d in enumerate(x.shape) if i != axis], np.int32)
    code, options = g.c.pick([("ARG_MAX", "ArgMaxOptions"), ("ARG_MIN", "ArgMinOptions")])
    g.op(code, [x, g.m.const([axis])], [y], options, outputType=2)


def resize(g: GraphDraw) -> None:
    """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR."""
    c = g.c
    x = g.take(ranks=(4,))
    size = [c.integer(1, 10), c.integer(1, 10)]
    y = g.like(x, (x.shape[0], *size, x.shape[3]))
    code, options = c.pick(
        [
            ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
            ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
        ]
    )
    align = c.flag()
    g.op(code, [x, g.m.const(size)], [y], options, alignCorners=align, halfPixelCenters=not align and c.flag())


def svdf(g: GraphDraw) -> None:
    """SVDF with int16 state, kept in a variable tensor."""
    c = g.c
    x = g.take(ranks=(2,))
    units, rank, memory = c.integer(1, 4), c.integer(1, 2), c.integer(1, 5)
    filters = units * rank
    w = g.m.tensor((filters, x.shape[1]), np.int8, 0.02, 0, data=c.data((filters, x.shape[1]), np.int8, -127))
    state_scale = float(np.float32(x.scale * 0.02 * 74 * 73 * sqrt(x.shape[1]) / 20000))
    time = g.m.tensor((filters, memory), np.int16, 1e-4, 0, data=c.data((filters, memory), np.int16, -32767))
    bias = g.m.tensor((units,), np.int32, float(np.float32(state_scale) * np.float32(1e-4)), 0, data=np.zeros(units))
    state = g.m.tensor((x.shape[0], memory * filters), np.int16, state_scale, 0, variable=True)
    y = g.value((x.shape[0], units), np.int8, state_scale * 1e-4 * 18000 * 18000 * sqrt(memory * rank) / 80)
    g.op("SVDF", [x, w, time, bias, state], [y], "SVDFOptions", rank=rank, fusedActivationFunction=0)


def delay(g: GraphDraw) -> None:
    """A variable gives what the previous inference assigned to it; sometimes the sum so far is assigned."""
    x = g.take(dtypes=(np.int8,))
    before = g.like(x, x.shape)
    handle = g.handle()
    g.op("READ_VARIABLE", [handle], [before], "ReadVariableOptions")
    after = x
    if g.c.flag():
        after = g.like(x, x.shape)
        g.op("ADD", [x, before], [after], "AddOptions")
    g.op("ASSIGN_VARIABLE", [handle, after], [], "AssignVariableOptions")


OPERATORS: tuple[Callable[[GraphDraw], None], ...] = (
    unary,
    binary,
    conv_2d,
    depthwise_conv_2d,
    pool,
    residual,
    fully_connected,
    softmax,
    reduce,
    convert,
    conv_2d,
    depthwise_conv_2d,
    binary,
    resize,
    prelu,
    transpose_conv,
    batch_matmul,
    binary_int16,
    unary_int16,
    delay,
    compare,
    arg_max,
    svdf,
)


def draw_model(c: Choices) -> bytes:
    """A model of 3 to 15 operators, or a few more where one step adds several."""
    from tests.e2e.graph_movement import MOVEMENT

    g = GraphDraw(c)
    for _ in range(c.integer(1, 3)):
        g.add_input()
    count = c.integer(3, 15)
    while g.operators < count:
        grow(g, [*OPERATORS, *MOVEMENT])
    return g.finish()


def grow(g: GraphDraw, steps: Sequence[Callable[[GraphDraw], None]]) -> None:
    """Take a step that the graph allows; where the first few drawn do not fit, one that always does."""
    for _ in range(6):
        try:
            g.c.pick(steps)(g)
        except NotPossible:
            continue
        return
    x = g.values[0]
    if x.dtype is np.float32:
        g.op("QUANTIZE", [x], [g.value(x.shape)])
    else:
        g.op("QUANTIZE", [x], [g.value(x.shape, x.dtype, x.scale * 1.25)])
