"""Rows for operators that change the element type or the quantization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.ops.case import OpCase
from tests.tflite_builder import ModelBuilder
from thimble.compiler.ir.types import DType, TensorType


def any_zero_point(rng: np.random.Generator, dtype: Any) -> int:
    """A zero point over the whole range of the type, often 0 or an edge; small for int32."""
    info = np.iinfo(dtype)
    low, high = (info.min, info.max) if info.bits < 32 else (-1000, 1000)
    return int(rng.choice([0, low, high, int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1))]))


def any_scale(rng: np.random.Generator) -> float:
    """A scale over many powers of ten, some of them powers of two, so that halves are met exactly."""
    if rng.random() < 0.3:
        return float(2.0 ** rng.integers(-12, 6))
    return float(np.float32(10 ** (rng.uniform(-5, 4) if rng.random() < 0.3 else rng.uniform(-3, 0))))


def tensor(m: ModelBuilder, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> int:
    """A tensor with random quantization, or none if it holds floats."""
    if np.dtype(dtype) == np.float32:
        return m.tensor(shape, dtype)
    return m.tensor(shape, dtype, any_scale(rng), any_zero_point(rng, dtype))


def conversion(rng: np.random.Generator, code: str, given: Any, made: Any) -> bytes:
    """A conversion between any two scales and zero points; one in four keeps the scale."""
    shape = tuple(int(d) for d in rng.integers(1, 7, int(rng.integers(1, 6))))
    m = ModelBuilder()
    x = tensor(m, rng, shape, given)
    if np.dtype(given) != np.float32 and np.dtype(made) != np.float32 and rng.random() < 0.25:
        y = m.tensor(shape, made, m.scale_of(x), any_zero_point(rng, made))
    else:
        y = tensor(m, rng, shape, made)
    m.op(code, [x], [y])
    m.interface([x], [y])
    return m.build()


def cast(rng: np.random.Generator) -> bytes:
    """Any two of the types that can be cast."""
    types = (np.int8, np.int16, np.int32, np.bool_, np.float32)
    given, made = (types[int(i)] for i in rng.integers(0, len(types), 2))
    shape = tuple(int(d) for d in rng.integers(1, 7, int(rng.integers(1, 6))))
    m = ModelBuilder()
    x, y = m.tensor(shape, given), m.tensor(shape, made)
    m.op("CAST", [x], [y], "CastOptions")
    m.interface([x], [y])
    return m.build()


def float_samples(rng: np.random.Generator, types: Sequence[TensorType]) -> list[list[np.ndarray]]:
    """Every order of magnitude, the ends of the number line, and halves of round steps and their neighbours."""
    shape = types[0].shape
    if types[0].dtype is not DType.FLOAT32:
        low, high = types[0].dtype.range
        return [[rng.integers(low, high, shape, endpoint=True).astype(types[0].dtype.numpy)] for _ in range(4)]
    ends = [
        0.0,
        -0.0,
        1e-45,
        0.5,
        -0.5,
        0.49999997,
        8388609.0,
        2.0**31,
        -(2.0**31),
        2147483520.0,
        3.4e38,
        np.inf,
        np.nan,
    ]
    halves = (rng.integers(-40000, 40000, shape) + 0.5) * 2.0 ** rng.integers(-16, 4)
    neighbours = halves.astype(np.float32).view(np.int32) + rng.integers(-2, 3, shape)
    return [
        [rng.normal(0, 1, shape).astype(np.float32)],
        [(rng.normal(0, 1, shape) * 10.0 ** rng.uniform(-40, 37, shape)).astype(np.float32)],
        [rng.choice(np.array(ends, np.float32), shape) * rng.choice(np.float32([1, -1]), shape)],
        [neighbours.astype(np.int32).view(np.float32)],
    ]


def _row(code: str, given: Any, made: Any) -> OpCase:
    variant = f"{np.dtype(given)}-{np.dtype(made)}"
    samples = float_samples if np.dtype(given) == np.float32 else None
    return OpCase(code, lambda rng: conversion(rng, code, given, made), variant, samples)


_REQUANTIZED = (
    (np.float32, np.int8),
    (np.float32, np.int16),
    (np.int8, np.int8),
    (np.int8, np.uint8),
    (np.int8, np.int16),
    (np.int8, np.int32),
    (np.uint8, np.int8),
    (np.int16, np.int8),
    (np.int16, np.int16),
    (np.int16, np.int32),
    (np.int32, np.int8),
    (np.int32, np.int16),
)

CASES = (
    *(_row("QUANTIZE", given, made) for given, made in _REQUANTIZED),
    *(_row("DEQUANTIZE", given, np.float32) for given in (np.int8, np.uint8, np.int16)),
    OpCase("CAST", cast, "any", float_samples),
)
