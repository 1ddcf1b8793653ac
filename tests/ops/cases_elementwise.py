"""Rows for element-wise operators and SOFTMAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.ops.case import OpCase
from tests.ops.draws import activation_code, scale, zero_point
from tests.ops.litert_oracle import run_litert
from tests.tflite_builder import ModelBuilder
from thimble.compiler.ir.types import TensorType

Draw = Callable[[np.random.Generator], bytes]


def draw_shape(rng: np.random.Generator, low: int = 0, high: int = 6, limit: int = 400) -> tuple[int, ...]:
    """A shape of rank low..high with at most `limit` elements."""
    shape: list[int] = []
    for _ in range(int(rng.integers(low, high + 1))):
        shape.append(int(rng.integers(1, max(2, min(9, limit // max(1, int(np.prod(shape))) + 1)))))
    return tuple(shape)


def broadcast_pair(rng: np.random.Generator, high: int = 6) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast: dimensions of 1 on either side, or leading ones left out."""
    shape = draw_shape(rng, 1, high)
    sides = rng.integers(0, 3, len(shape))
    a = tuple(1 if side == 1 else size for size, side in zip(shape, sides, strict=True))
    b = tuple(1 if side == 2 else size for size, side in zip(shape, sides, strict=True))
    cut = int(rng.integers(0, len(shape) + 1))
    pair = (a, b[cut:]) if rng.random() < 0.5 else (a, b)
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


def draw_data(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Values over the whole range of an integer type, with its edges often among them."""
    if dtype is np.bool_:
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    data = rng.integers(info.min, info.max, shape, dtype=np.int64, endpoint=True)
    edges = rng.choice([info.min, info.max, 0], shape)
    return np.where(rng.random(shape) < 0.2, edges, data)


def operand_scale(rng: np.random.Generator, dtype: Any) -> float | None:
    """A scale that suits the type; None for types that are not quantized."""
    return {np.int8: scale(rng), np.int16: scale(rng) / 256}.get(dtype)


def binary(
    code: str,
    dtype: Any = np.int8,
    *,
    broadcast: bool = False,
    options: str | None = None,
    output: Callable[[float, float], float] = max,
    zero: bool = True,
) -> Draw:
    """An operator of two inputs, sometimes with a constant on one side, and of one type.

    `output(scale 0, scale 1)` is about the output's scale; `zero` allows int16 zero points other than 0; with
    `options` the operator has a fused activation.
    """

    def draw(rng: np.random.Generator) -> bytes:
        shape = draw_shape(rng)
        shapes = broadcast_pair(rng) if broadcast else (shape, shape)
        scales = [operand_scale(rng, dtype) for _ in shapes]
        constant = int(rng.integers(0, 6))
        m = ModelBuilder()

        def tensor(shape: tuple[int, ...], scale: float | None, data: np.ndarray | None = None) -> int:
            return m.tensor(shape, dtype, scale, operand_zero_point(rng, dtype, zero), data=data)

        inputs = [
            tensor(s, scales[side], draw_data(rng, s, dtype) if constant == side else None)
            for side, s in enumerate(shapes)
        ]
        y_scale = None if None in scales else output(*scales) * 10 ** rng.uniform(-0.7, 0.7)
        y = tensor(np.broadcast_shapes(*shapes), y_scale)
        quantized = dtype is not np.int32 or code != "ADD"
        fused = {"fusedActivationFunction": activation_code(rng)} if options and quantized else {}
        m.op(code, inputs, [y], options, **fused)
        m.interface([x for side, x in enumerate(inputs) if side != constant], [y])
        return m.build()

    return draw


def operand_zero_point(rng: np.random.Generator, dtype: Any, any_int16: bool) -> int:
    """A zero point that the operator takes for the type."""
    if dtype is np.int8:
        return zero_point(rng)
    return int(rng.integers(-40, 40)) if dtype is np.int16 and any_int16 and rng.random() < 0.3 else 0


def product(a: float, b: float) -> float:
    """An output scale that suits int8 products of values of the scales `a` and `b`."""
    return a * b * 90


def wide_product(a: float, b: float) -> float:
    """The same for int16."""
    return a * b * 20000


def comparison(code: str, dtype: Any = np.int8) -> Draw:
    """A comparison, often of tensors whose values lie close together; bool output."""

    def draw(rng: np.random.Generator) -> bytes:
        a, b = broadcast_pair(rng) if rng.random() < 0.5 else (draw_shape(rng),) * 2
        scales = [operand_scale(rng, dtype) for _ in range(2)]
        zeros = [zero_point(rng) if dtype is np.int8 else 0 for _ in range(2)]
        if rng.random() < 0.4:
            scales, zeros = scales[:1] * 2, zeros[:1] * 2
        constant = int(rng.integers(0, 6))
        m = ModelBuilder()
        inputs = []
        for side, shape in enumerate((a, b)):
            data = draw_data(rng, shape, dtype) if constant == side else None
            inputs.append(m.tensor(shape, dtype, scales[side], zeros[side], data=data))
        y = m.tensor(np.broadcast_shapes(a, b), np.bool_)
        m.op(code, inputs, [y], "".join(word.capitalize() for word in code.split("_")) + "Options")
        m.interface([x for side, x in enumerate(inputs) if side != constant], [y])
        return m.build()

    return draw


def prelu(dtype: Any = np.int8) -> Draw:
    """Slopes for each channel, for each value, or anything else that broadcasts."""

    def draw(rng: np.random.Generator) -> bytes:
        shape, alpha = broadcast_pair(rng)
        if rng.random() < 0.6:
            shape = draw_shape(rng, 1)
            alpha = shape[-1:] if rng.random() < 0.5 else (1,) * (len(shape) - 1) + shape[-1:]
        s = operand_scale(rng, dtype)
        m = ModelBuilder()
        x = m.tensor(shape, dtype, s, operand_zero_point(rng, dtype, True))
        w = m.tensor(alpha, np.int8, scale(rng) / 40, zero_point(rng), data=draw_data(rng, alpha, np.int8))
        y_scale = s * 10 ** rng.uniform(-0.5, 0.5)
        y = m.tensor(np.broadcast_shapes(shape, alpha), dtype, y_scale, operand_zero_point(rng, dtype, True))
        m.op("PRELU", [x, w], [y])
        m.interface([x], [y])
        return m.build()

    return draw


def softmax(rng: np.random.Generator, dtype: Any = np.int8, depth: int = 0) -> bytes:
    """Softmax over rows, from nearly flat to nearly one-hot."""
    shape = (1, int(rng.integers(9, 512))) if rng.random() < 0.2 else draw_shape(rng, 1, 5)
    shape = (*shape[:-1], depth) if depth else shape
    m = ModelBuilder()
    x = m.tensor(shape, np.int8, float(np.float32(10 ** rng.uniform(-4, 1))), zero_point(rng))
    y = m.tensor(shape, np.int8, 1 / 256, -128) if dtype is np.int8 else m.tensor(shape, np.int16, 1 / 65536, -32768)
    m.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=float(rng.choice([1.0, 1.0, 0.25, 3.0])))
    m.interface([x], [y])
    return m.build()


def softmax_int16(rng: np.random.Generator) -> bytes:
    """The same on int16, whose output is symmetric."""
    shape = draw_shape(rng, 1, 5)
    m = ModelBuilder()
    x = m.tensor(shape, np.int16, float(np.float32(10 ** rng.uniform(-6, -1))), 0)
    y = m.tensor(shape, np.int16, 1 / 32768, 0)
    m.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=float(rng.choice([1.0, 1.0, 0.25, 3.0])))
    m.interface([x], [y])
    return m.build()


def unary(
    code: str,
    dtype: Any = np.int8,
    options: str | None = None,
    *,
    output: Callable[[np.random.Generator, float], tuple[float, int]] | None = None,
    fields: Callable[[np.random.Generator], dict[str, Any]] = lambda rng: {},
) -> Draw:
    """An operator of one input; `output(rng, input scale)` draws the output's scale and zero point."""

    def draw(rng: np.random.Generator) -> bytes:
        shape = draw_shape(rng)
        s = scale(rng) if dtype is np.int8 else scale(rng) / 256
        m = ModelBuilder()
        x = m.tensor(shape, dtype, s, zero_point(rng) if dtype is np.int8 else 0)
        y_scale, y_zero = output(rng, s) if output else (s * 10 ** rng.uniform(-0.5, 0.5), zero_point(rng))
        y = m.tensor(shape, dtype, y_scale, y_zero if dtype is np.int8 else 0)
        m.op(code, [x], [y], options, **fields(rng))
        m.interface([x], [y])
        return m.build()

    return draw


def fixed_output(scale: float, zero_point: int) -> Callable[[np.random.Generator, float], tuple[float, int]]:
    """The one output quantization that an operator takes."""
    return lambda rng, input_scale: (scale, zero_point)


def coarse_output(rng: np.random.Generator, input_scale: float) -> tuple[float, int]:
    """An output scale from 1/100 of the input's up."""
    return input_scale * 10 ** rng.uniform(-2, 1), zero_point(rng)


def rsqrt_output(rng: np.random.Generator, input_scale: float) -> tuple[float, int]:
    """An output scale that puts 1 / sqrt(x) for the smallest x between 10 and 1000 steps."""
    return 1 / (10 ** rng.uniform(1, 3) * np.sqrt(input_scale)), zero_point(rng)


def leak(rng: np.random.Generator) -> dict[str, Any]:
    """A slope below zero: usually small, sometimes above 1 or negative."""
    return {"alpha": float(rng.choice([0.01, 0.2, 0.3, 1.0, 1.7, -0.5, 0.0]))}


def not_negative(rng: np.random.Generator, types: Sequence[TensorType]) -> list[list[np.ndarray]]:
    """Inputs that stand for 0 and above."""
    assert types[0].quant is not None
    zero = types[0].quant.zero_point
    return [[rng.integers(zero, 128, types[0].shape).astype(np.int8)] for _ in range(6)]


def coarse_input(code: str, dtype: Any, options: str | None = None, **fields: float) -> Draw:
    """An input scale up to 2^29 times the output's: left shifts that overflow 32 bits, as in TFLite Micro."""

    def draw(rng: np.random.Generator) -> bytes:
        s = float(np.float32(10 ** rng.uniform(-6, 3)))
        m = ModelBuilder()
        x = m.tensor((9, 9), dtype, s, zero_point(rng) if dtype is np.int8 else 0)
        y_zero = zero_point(rng) if dtype is np.int8 else 0
        y = m.tensor((9, 9), dtype, s * 2.0 ** -rng.uniform(15, 29), y_zero)
        alpha = [m.tensor((9,), np.int8, 1.5, zero_point(rng))] if code == "PRELU" else []
        m.op(code, [x, *alpha], [y], options, **fields)
        m.interface([x, *alpha], [y])
        return m.build()

    return draw


def neg(rng: np.random.Generator) -> bytes:
    """Negative of symmetric values."""
    shape, s = draw_shape(rng), scale(rng)
    m = ModelBuilder()
    x, y = (m.tensor(shape, np.int8, s, 0) for _ in range(2))
    m.op("NEG", [x], [y], "NegOptions")
    m.interface([x], [y])
    return m.build()


COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")

CASES = (
    OpCase("ADD", binary("ADD", options="AddOptions")),
    OpCase("ADD", binary("ADD", options="AddOptions", broadcast=True), "int8 broadcast"),
    OpCase("ADD", binary("ADD", np.int16, options="AddOptions"), "int16"),
    OpCase("ADD", binary("ADD", np.int16, options="AddOptions", broadcast=True), "int16 broadcast"),
    OpCase("ADD", binary("ADD", np.int32, options="AddOptions", broadcast=True), "int32 broadcast"),
    OpCase("SUB", binary("SUB", options="SubOptions")),
    OpCase("SUB", binary("SUB", options="SubOptions", broadcast=True), "int8 broadcast"),
    OpCase("SUB", binary("SUB", np.int16, options="SubOptions"), "int16"),
    OpCase("SUB", binary("SUB", np.int16, options="SubOptions", broadcast=True), "int16 broadcast"),
    OpCase("SUB", binary("SUB", np.int32, options="SubOptions", broadcast=True), "int32 broadcast"),
    OpCase("MUL", binary("MUL", options="MulOptions", output=product)),
    OpCase("MUL", binary("MUL", options="MulOptions", output=product, broadcast=True), "int8 broadcast"),
    OpCase("MUL", binary("MUL", np.int16, options="MulOptions", output=wide_product, zero=False), "int16"),
    OpCase("MUL", binary("MUL", np.int32, options="MulOptions", broadcast=True), "int32 broadcast"),
    OpCase("MINIMUM", binary("MINIMUM")),
    OpCase("MINIMUM", binary("MINIMUM", broadcast=True), "int8 broadcast"),
    OpCase("MINIMUM", binary("MINIMUM", np.int16, broadcast=True), "int16 broadcast"),
    OpCase("MINIMUM", binary("MINIMUM", np.int32, broadcast=True), "int32 broadcast"),
    OpCase("MAXIMUM", binary("MAXIMUM")),
    OpCase("MAXIMUM", binary("MAXIMUM", broadcast=True), "int8 broadcast"),
    OpCase("MAXIMUM", binary("MAXIMUM", np.int16, broadcast=True), "int16 broadcast"),
    OpCase("MAXIMUM", binary("MAXIMUM", np.int32, broadcast=True), "int32 broadcast"),
    OpCase("SQUARED_DIFFERENCE", binary("SQUARED_DIFFERENCE", output=product)),
    OpCase("SQUARED_DIFFERENCE", binary("SQUARED_DIFFERENCE", output=product, broadcast=True), "int8 broadcast"),
    OpCase("SQUARED_DIFFERENCE", binary("SQUARED_DIFFERENCE", np.int16, output=wide_product, zero=False), "int16"),
    OpCase("SQUARED_DIFFERENCE", binary("SQUARED_DIFFERENCE", np.int32, broadcast=True), "int32 broadcast"),
    *(OpCase(code, comparison(code)) for code in COMPARISONS),
    *(OpCase(code, comparison(code, np.int32), "int32") for code in COMPARISONS),
    OpCase("EQUAL", comparison("EQUAL", np.bool_), "bool"),
    OpCase("NOT_EQUAL", comparison("NOT_EQUAL", np.bool_), "bool"),
    OpCase("PRELU", prelu()),
    OpCase("PRELU", prelu(np.int16), "int16"),
    OpCase("ABS", unary("ABS", options="AbsOptions")),
    OpCase("ABS", unary("ABS", options="AbsOptions", output=lambda rng, scale: (scale, zero_point(rng))), "same scale"),
    OpCase("ABS", unary("ABS", np.int16, "AbsOptions"), "int16"),
    OpCase("ELU", unary("ELU")),
    OpCase("HARD_SWISH", unary("HARD_SWISH", options="HardSwishOptions", output=coarse_output)),
    OpCase("LEAKY_RELU", unary("LEAKY_RELU", options="LeakyReluOptions", fields=leak)),
    OpCase("LEAKY_RELU", unary("LEAKY_RELU", np.int16, "LeakyReluOptions", fields=leak), "int16"),
    OpCase("ABS", coarse_input("ABS", np.int16, "AbsOptions"), "int16 coarse input"),
    OpCase("LEAKY_RELU", coarse_input("LEAKY_RELU", np.int8, "LeakyReluOptions", alpha=-0.7), "int8 coarse input"),
    OpCase("PRELU", coarse_input("PRELU", np.int16), "int16 coarse input"),
    OpCase("NEG", neg, oracle=run_litert),
    OpCase("RELU", unary("RELU")),
    OpCase("RELU", unary("RELU", np.int16), "int16"),
    OpCase("RELU6", unary("RELU6", output=lambda rng, scale: (scale, zero_point(rng)))),
    OpCase("RELU6", unary("RELU6", np.int16, output=lambda rng, scale: (scale, 0)), "int16"),
    OpCase("RSQRT", unary("RSQRT", output=rsqrt_output), samples=not_negative),
    OpCase("LOGISTIC", unary("LOGISTIC", output=fixed_output(1 / 256, -128))),
    OpCase("LOGISTIC", unary("LOGISTIC", np.int16, output=fixed_output(1 / 32768, 0)), "int16"),
    OpCase("TANH", unary("TANH", output=fixed_output(1 / 128, 0))),
    OpCase("TANH", unary("TANH", np.int16, output=fixed_output(1 / 32768, 0)), "int16"),
    OpCase("SOFTMAX", softmax),
    OpCase("SOFTMAX", lambda rng: softmax(rng, depth=2), "two classes"),
    OpCase("SOFTMAX", lambda rng: softmax(rng, np.int16), "int8 to int16"),
    OpCase("SOFTMAX", softmax_int16, "int16"),
)
