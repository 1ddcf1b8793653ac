"""Rows for element-wise operators and SOFTMAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.ops.case import OpCase
from tests.ops.draws import activation_code, scale, zero_point
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
    info = np.iinfo(dtype)
    data = rng.integers(info.min, info.max, shape, dtype=np.int64, endpoint=True)
    edges = rng.choice([info.min, info.max, 0], shape)
    return np.where(rng.random(shape) < 0.2, edges, data)


def binary(code: str, options: str | None, dtype: Any = np.int8, *, broadcast: bool, activation: bool = True) -> Draw:
    """An operator of two inputs, sometimes with a constant on one side."""

    def draw(rng: np.random.Generator) -> bytes:
        quantized = dtype in (np.int8, np.int16)
        shape = draw_shape(rng)
        shapes = broadcast_pair(rng) if broadcast else (shape, shape)
        constant = int(rng.integers(0, 6))
        m = ModelBuilder()

        def tensor(shape: tuple[int, ...], data: np.ndarray | None = None) -> int:
            zero = 0 if dtype is not np.int8 else zero_point(rng)
            return m.tensor(shape, dtype, scale(rng) if quantized else None, zero, data=data)

        inputs = [tensor(s, draw_data(rng, s, dtype) if constant == side else None) for side, s in enumerate(shapes)]
        y = tensor(np.broadcast_shapes(*shapes))
        fused = {"fusedActivationFunction": activation_code(rng) if quantized else 0} if activation else {}
        m.op(code, inputs, [y], options, **fused)
        m.interface([x for side, x in enumerate(inputs) if side != constant], [y])
        return m.build()

    return draw


def softmax(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """Softmax over rows, from nearly flat to nearly one-hot."""
    shape = draw_shape(rng, 1, 5)
    m = ModelBuilder()
    x = m.tensor(shape, np.int8, float(np.float32(10 ** rng.uniform(-4, 1))), zero_point(rng))
    y = m.tensor(shape, np.int8, 1 / 256, -128) if dtype is np.int8 else m.tensor(shape, np.int16, 1 / 65536, -32768)
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


CASES = (
    OpCase("ADD", binary("ADD", "AddOptions", broadcast=False)),
    OpCase("ADD", binary("ADD", "AddOptions", broadcast=True), "int8 broadcast"),
    OpCase("ADD", binary("ADD", "AddOptions", np.int16, broadcast=False), "int16"),
    OpCase("ADD", binary("ADD", "AddOptions", np.int16, broadcast=True), "int16 broadcast"),
    OpCase("ADD", binary("ADD", "AddOptions", np.int32, broadcast=True), "int32 broadcast"),
    OpCase("ABS", unary("ABS", options="AbsOptions")),
    OpCase("ABS", unary("ABS", options="AbsOptions", output=lambda rng, scale: (scale, zero_point(rng))), "same scale"),
    OpCase("ABS", unary("ABS", np.int16, "AbsOptions"), "int16"),
    OpCase("ELU", unary("ELU")),
    OpCase("HARD_SWISH", unary("HARD_SWISH", options="HardSwishOptions", output=coarse_output)),
    OpCase("LEAKY_RELU", unary("LEAKY_RELU", options="LeakyReluOptions", fields=leak)),
    OpCase("LEAKY_RELU", unary("LEAKY_RELU", np.int16, "LeakyReluOptions", fields=leak), "int16"),
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
    OpCase("SOFTMAX", lambda rng: softmax(rng, np.int16), "int8 to int16"),
)
