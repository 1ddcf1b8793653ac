"""Rows for convolutions and matrix products."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tests.ops.case import OpCase
from tests.ops.draws import activation_code, bias_for, output_scale, same_or_valid, scale, weights, zero_point
from tests.tflite_builder import ModelBuilder

Rng = np.random.Generator


def conv_2d(rng: Rng, dtype: Any = np.int8, biases: tuple[Any, ...] = (np.int32,), max_gain: float = 0.0) -> bytes:
    """Dense or grouped convolution with any stride, dilation and padding."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    depth, channels = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 6))
    m = ModelBuilder()
    window, batch = _Window(rng, max_dilation=2), _batch(rng)
    x = _activation(m, rng, (batch, window.height, window.width, depth), dtype)
    w, w_scales = weights(m, rng, (channels, window.kernel_h, window.kernel_w, depth // groups), axis=0)
    b = _bias(m, rng, x, w_scales, channels, biases)
    y_scale = output_scale(rng, m.scale_of(x), w_scales, window.taps * depth // groups)
    y_scale = _sharpened(rng, y_scale, max_gain)
    y = _activation(m, rng, window.output_shape(batch, channels), dtype, y_scale)
    m.op(
        "CONV_2D", [x, w, *b], [y], "Conv2DOptions", **window.options,
        fusedActivationFunction=activation_code(rng), quantizedBiasType=_type_code(m, b),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def depthwise_conv_2d(
    rng: Rng,
    dtype: Any = np.int8,
    biases: tuple[Any, ...] = (np.int32,),
    max_multiplier: int = 1,
    max_dilation: int = 1,
) -> bytes:
    """Depthwise convolution with one or more outputs for each input channel."""
    depth, multiplier = int(rng.integers(1, 7)), int(rng.integers(1, max_multiplier + 1))
    channels = depth * multiplier
    m = ModelBuilder()
    window, batch = _Window(rng, max_dilation), _batch(rng)
    x = _activation(m, rng, (batch, window.height, window.width, depth), dtype)
    w, w_scales = weights(m, rng, (1, window.kernel_h, window.kernel_w, channels), axis=3)
    b = _bias(m, rng, x, w_scales, channels, biases)
    y_scale = output_scale(rng, m.scale_of(x), w_scales, window.taps)
    y = _activation(m, rng, window.output_shape(batch, channels), dtype, y_scale)
    m.op(
        "DEPTHWISE_CONV_2D", [x, w, *b], [y], "DepthwiseConv2DOptions", **window.options,
        depthMultiplier=multiplier, fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def transpose_conv(rng: Rng, dtype: Any = np.int8, biases: tuple[Any, ...] = (np.int32,), padding: int = 0) -> bytes:
    """Transposed convolution to any of the output sizes that its input can come from, or to a larger one."""
    # Outputs stay small: tflite-micro guesses its arena from the model's size, and keeps 4 to 8 bytes for each.
    depth, channels, batch = int(rng.integers(1, 6)), int(rng.integers(1, 4)), _batch(rng)
    kernel_h, kernel_w = (int(k) for k in rng.integers(1, 6, 2))
    stride_h, stride_w = (int(s) for s in rng.integers(1, 4, 2))
    height, width = (int(n) for n in rng.integers(1, 4, 2))

    def size(given: int, kernel: int, stride: int) -> int:
        full = given * stride if padding == 0 else (given - 1) * stride + kernel
        return max(1, full + int(rng.integers(-stride, stride + 1)))

    m = ModelBuilder()
    x = _activation(m, rng, (batch, height, width, depth), dtype)
    w, w_scales = weights(m, rng, (channels, kernel_h, kernel_w, depth), axis=0)
    b = _bias(m, rng, x, w_scales, channels, biases)
    y_scale = output_scale(rng, m.scale_of(x), w_scales, kernel_h * kernel_w * depth)
    shape = (batch, size(height, kernel_h, stride_h), size(width, kernel_w, stride_w), channels)
    y = _activation(m, rng, shape, dtype, y_scale)
    m.op(
        "TRANSPOSE_CONV", [m.const(shape), w, x, *b], [y], "TransposeConvOptions", padding=padding,
        strideH=stride_h, strideW=stride_w, fusedActivationFunction=activation_code(rng),
        quantizedBiasType=_type_code(m, b),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def fully_connected(
    rng: Rng,
    dtype: Any = np.int8,
    biases: tuple[Any, ...] = (np.int32,),
    per_axis: bool = False,
    max_gain: float = 0.0,
) -> bytes:
    """Matrix product of an input of rank 1 to 4 with weights that have one scale, or one for each output."""
    depth, channels = int(rng.integers(1, 40)), int(rng.integers(1, 20))
    lead = tuple(int(n) for n in rng.integers(1, 4, int(rng.integers(0, 4))))
    keep = bool(lead) and bool(rng.random() < 0.5)
    m = ModelBuilder()
    x = _activation(m, rng, (*lead, depth), dtype)
    w, w_scales = weights(m, rng, (channels, depth), axis=0, per_axis=per_axis)
    b = _bias(m, rng, x, w_scales, channels, biases)
    shape = (*lead, channels) if keep else (int(np.prod(lead)), channels)
    y_scale = output_scale(rng, m.scale_of(x), w_scales, depth)
    y_scale = _sharpened(rng, y_scale, max_gain)
    y = _activation(m, rng, shape, dtype, y_scale)
    m.op(
        "FULLY_CONNECTED", [x, w, *(b or [-1])], [y], "FullyConnectedOptions",
        keepNumDims=keep, fusedActivationFunction=activation_code(rng), quantizedBiasType=_type_code(m, b),
    )  # fmt: skip
    m.interface([x], [y])
    return m.build()


def fully_connected_deep(rng: Rng) -> bytes:
    """Matrix product whose sums of int16 activations leave 32 bits when all inputs are large."""
    depth, channels = int(rng.integers(700, 1000)), int(rng.integers(1, 4))
    bias_type = (np.int32, np.int64)[int(rng.integers(2))]
    m = ModelBuilder()
    x = _activation(m, rng, (1, depth), np.int16)
    w = m.tensor((channels, depth), np.int8, scale(rng), 0, data=rng.integers(100, 128, (channels, depth)))
    w_scales = np.array([m.scale_of(w)])
    b = _bias(m, rng, x, w_scales, channels, (bias_type,))
    y = _activation(m, rng, (1, channels), np.int16, m.scale_of(x) * m.scale_of(w) * depth * 120)
    m.op("FULLY_CONNECTED", [x, w, *b], [y], "FullyConnectedOptions", quantizedBiasType=_type_code(m, b))
    m.interface([x], [y])
    return m.build()


def ties(rng: Rng, operator: str, dtype: Any = np.int8) -> bytes:
    """A matrix product, as FULLY_CONNECTED or CONV_2D, whose scales make many results lie halfway between integers."""
    rows, depth, channels = int(rng.integers(1, 60)), int(rng.integers(1, 5)), int(rng.integers(1, 12))
    m = ModelBuilder()
    window = (1, 1) if operator == "CONV_2D" else ()
    x = _activation(m, rng, (*window, rows, depth), dtype, 1.0)
    w = m.tensor((channels, *window, depth), np.int8, 1.0, 0, data=rng.integers(-127, 128, (channels, depth)))
    b = _bias(m, rng, x, np.ones(1), channels, (np.int32 if dtype is np.int8 else np.int64,))
    y_scale = float(rng.choice([1, 3, 5]) * 2.0 ** (rng.integers(5, 9) + (0 if dtype is np.int8 else 3)))
    y = _activation(m, rng, (*window, rows, channels), dtype, y_scale)
    if operator == "CONV_2D":
        m.op(operator, [x, w, *b], [y], "Conv2DOptions", strideH=1, strideW=1, quantizedBiasType=_type_code(m, b))
    else:
        m.op(operator, [x, w, *b], [y], "FullyConnectedOptions", quantizedBiasType=_type_code(m, b))
    m.interface([x], [y])
    return m.build()


def fully_connected_asymmetric(rng: Rng, computed: bool) -> bytes:
    """Matrix product with weights that have a zero point of their own; `computed` makes them an input."""
    rows, depth, channels = int(rng.integers(1, 5)), int(rng.integers(1, 30)), int(rng.integers(1, 12))
    m = ModelBuilder()
    x = _activation(m, rng, (rows, depth), np.int8)
    data = None if computed else rng.integers(-128, 128, (channels, depth))
    w = m.tensor((channels, depth), np.int8, scale(rng), zero_point(rng), data=data)
    w_scales = np.array([m.scale_of(w)])
    b = _bias(m, rng, x, w_scales, channels, (np.int32,))
    y = _activation(m, rng, (rows, channels), np.int8, output_scale(rng, m.scale_of(x), w_scales, depth))
    m.op("FULLY_CONNECTED", [x, w, *b], [y], "FullyConnectedOptions", fusedActivationFunction=activation_code(rng))
    m.interface([x, w] if computed else [x], [y])
    return m.build()


def batch_matmul(rng: Rng, constant: bool = False, broadcast: bool = False) -> bytes:
    """Product of two batches of matrices, either of them adjoint; `constant` makes one of them data."""
    # Operands stay small, as tflite-micro guesses its arena from the model's size and keeps transposed copies.
    rows, depth, columns = (int(n) for n in rng.integers(1, 8, 3))
    lead = tuple(int(n) for n in rng.integers(1, 3, int(rng.integers(1 if broadcast else 0, 4))))
    adjoint_x, adjoint_y = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    m = ModelBuilder()

    def draw_batches() -> tuple[int, ...]:
        if not broadcast:
            return lead
        return tuple(1 if rng.random() < 0.4 else n for n in lead)[int(rng.integers(0, len(lead) + 1)) :]

    def operand(batches: tuple[int, ...], shape: tuple[int, int], adjoint: bool, held: bool) -> int:
        stored = (*batches, *(shape[::-1] if adjoint else shape))
        data = rng.integers(-128, 128, stored) if held else None
        return m.tensor(stored, np.int8, scale(rng), zero_point(rng), data=data)

    x_batches, y_batches = draw_batches(), draw_batches()
    first_held = constant and bool(rng.random() < 0.3)
    x = operand(x_batches, (rows, depth), adjoint_x, held=first_held)
    y = operand(y_batches, (depth, columns), adjoint_y, held=constant and not first_held)
    batches = np.broadcast_shapes(x_batches, y_batches)
    out_scale = output_scale(rng, m.scale_of(x), np.array([m.scale_of(y)]), depth)
    z = _activation(m, rng, (*batches, rows, columns), np.int8, out_scale)
    m.op("BATCH_MATMUL", [x, y], [z], "BatchMatMulOptions", adjX=adjoint_x, adjY=adjoint_y)
    m.interface([y] if first_held else [x] if constant else [x, y], [z])
    return m.build()


class _Window:
    """A random sliding window and an input that it fits on."""

    def __init__(self, rng: Rng, max_dilation: int) -> None:
        self.kernel_h, self.kernel_w = (int(k) for k in rng.integers(1, 5, 2))
        dilation_h, dilation_w = (int(d) for d in rng.integers(1, max_dilation + 1, 2))
        self.height = int(rng.integers((self.kernel_h - 1) * dilation_h + 1, 13))
        self.width = int(rng.integers((self.kernel_w - 1) * dilation_w + 1, 13))
        stride_h, stride_w = (int(s) for s in rng.integers(1, 4, 2))
        padding, out_size = same_or_valid(rng)
        self.taps = self.kernel_h * self.kernel_w
        self._output = (
            out_size(self.height, self.kernel_h, stride_h, dilation_h),
            out_size(self.width, self.kernel_w, stride_w, dilation_w),
        )
        self.options = {
            "strideH": stride_h,
            "strideW": stride_w,
            "dilationHFactor": dilation_h,
            "dilationWFactor": dilation_w,
            "padding": padding,
        }

    def output_shape(self, batch: int, channels: int) -> tuple[int, ...]:
        return (batch, *self._output, channels)


def _batch(rng: Rng) -> int:
    return int(rng.choice([1, 1, 1, 2]))


def _activation(m: ModelBuilder, rng: Rng, shape: tuple[int, ...], dtype: Any, of_scale: float | None = None) -> int:
    """An activation tensor; int16 ones are symmetric, and their scale is smaller by 256 for the same reals."""
    given = scale(rng) if of_scale is None else of_scale
    if dtype is np.int16:
        return m.tensor(shape, dtype, given / 256 if of_scale is None else given, 0)
    return m.tensor(shape, dtype, given, zero_point(rng))


def _sharpened(rng: Rng, of_scale: float, max_gain: float) -> float:
    """The scale smaller by up to 10**max_gain; TFLite Micro refuses RELU6 below 6 / 2**31."""
    return max(of_scale / 10 ** rng.uniform(0, max_gain), 3e-9)


def _bias(m: ModelBuilder, rng: Rng, x: int, w_scales: np.ndarray, channels: int, dtypes: tuple[Any, ...]) -> list[int]:
    """A bias of one of `dtypes` as a list of inputs, which is empty where None is drawn."""
    dtype = dtypes[int(rng.integers(len(dtypes)))]
    return [] if dtype is None else [bias_for(m, rng, m.scale_of(x) * w_scales, channels, dtype)]


def _type_code(m: ModelBuilder, bias: list[int]) -> int:
    """The schema's code of the bias type, which LiteRT, but not TFLite Micro, reads from the options."""
    return m.type_of(bias[0]) if bias else 0


CASES = (
    OpCase("CONV_2D", conv_2d),
    OpCase("CONV_2D", partial(conv_2d, biases=(None,)), "no bias"),
    OpCase("CONV_2D", partial(conv_2d, max_gain=7), "large effective scale"),
    OpCase("CONV_2D", partial(ties, operator="CONV_2D"), "ties"),
    OpCase("CONV_2D", partial(conv_2d, dtype=np.int16, biases=(np.int64, None)), "int16"),
    OpCase("CONV_2D", partial(conv_2d, dtype=np.int16, biases=(np.int32,)), "int16 with 32-bit sums"),
    OpCase("DEPTHWISE_CONV_2D", depthwise_conv_2d),
    OpCase("DEPTHWISE_CONV_2D", partial(depthwise_conv_2d, biases=(None,)), "no bias"),
    OpCase("DEPTHWISE_CONV_2D", partial(depthwise_conv_2d, max_multiplier=4), "multiplier"),
    OpCase("DEPTHWISE_CONV_2D", partial(depthwise_conv_2d, max_dilation=3), "dilation"),
    OpCase(
        "DEPTHWISE_CONV_2D",
        partial(depthwise_conv_2d, dtype=np.int16, biases=(np.int64, None), max_multiplier=3, max_dilation=2),
        "int16",
    ),
    OpCase("TRANSPOSE_CONV", transpose_conv),
    OpCase("TRANSPOSE_CONV", partial(transpose_conv, padding=1), "valid padding"),
    OpCase("TRANSPOSE_CONV", partial(transpose_conv, biases=(None,)), "no bias"),
    OpCase("TRANSPOSE_CONV", partial(transpose_conv, dtype=np.int16, biases=(np.int64, np.int16, None)), "int16"),
    OpCase("FULLY_CONNECTED", fully_connected),
    OpCase("FULLY_CONNECTED", partial(fully_connected, biases=(None,)), "no bias"),
    OpCase("FULLY_CONNECTED", partial(fully_connected, max_gain=7), "large effective scale"),
    OpCase("FULLY_CONNECTED", partial(ties, operator="FULLY_CONNECTED"), "ties"),
    OpCase("FULLY_CONNECTED", partial(ties, operator="FULLY_CONNECTED", dtype=np.int16), "int16 ties"),
    OpCase("FULLY_CONNECTED", partial(fully_connected, per_axis=True), "per channel"),
    OpCase("FULLY_CONNECTED", partial(fully_connected_asymmetric, computed=False), "weights with zero point"),
    OpCase("FULLY_CONNECTED", partial(fully_connected_asymmetric, computed=True), "computed weights"),
    OpCase("FULLY_CONNECTED", partial(fully_connected, dtype=np.int16, biases=(np.int64, None)), "int16"),
    OpCase(
        "FULLY_CONNECTED",
        partial(fully_connected, dtype=np.int16, biases=(np.int32,), per_axis=True),
        "int16 with 32-bit sums",
    ),
    OpCase(
        "FULLY_CONNECTED",
        partial(fully_connected, dtype=np.int16, biases=(np.int32,), max_gain=7),
        "int16 with 32-bit sums, large effective scale",
    ),
    OpCase(
        "FULLY_CONNECTED",
        partial(fully_connected, dtype=np.int16, biases=(np.int64, None), max_gain=3),
        "int16, large effective scale",
    ),
    OpCase("FULLY_CONNECTED", fully_connected_deep, "int16 with sums beyond 32 bits"),
    OpCase("BATCH_MATMUL", batch_matmul),
    OpCase("BATCH_MATMUL", partial(batch_matmul, constant=True), "constant"),
    OpCase("BATCH_MATMUL", partial(batch_matmul, broadcast=True), "broadcasting"),
)
